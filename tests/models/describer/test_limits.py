import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.describer.generation.limits import cut_title, whole_sentences


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("Nike Men Blue Shoes", 60, "Nike Men Blue Shoes"),
        ("Nike Men Blue Shoes", 14, "Nike Men Blue"),
        ("Nike Men Blue Shoes", 13, "Nike Men Blue"),
        ("Nike Men Blue Shoes", 12, "Nike Men"),
        ("Shoes for Men with Laces", 18, "Shoes for Men"),
        ("Shoes for Men, with Laces", 19, "Shoes for Men"),
        ("Shirt - Blue | Nike", 14, "Shirt - Blue"),
        ("Shirt | Nike Store", 9, "Shirt"),
    ],
)
def test_a_title_ends_at_a_word_that_can_end_it(text: str, most: int, expected: str) -> None:
    assert cut_title(text, most) == expected


@given(st.lists(st.text(alphabet="abcé", min_size=1, max_size=9), min_size=1, max_size=20), st.integers(10, 60))
def test_a_cut_title_is_whole_words_of_it_within_the_limit(words: list[str], most: int) -> None:
    cut = cut_title(" ".join(words), most)
    assert len(cut) <= most
    assert len(words[0]) > most or cut.split() == words[: len(cut.split())]


@pytest.mark.parametrize("most, expected", [(4, 0), (5, 1), (10, 1), (11, 2), (99, 3)])
def test_sentences_are_counted_with_the_spaces_between_them(most: int, expected: int) -> None:
    assert whole_sentences(["One a", "Two b", "Three"], most) == expected


def test_a_word_that_is_too_long_is_cut_between_characters() -> None:
    assert cut_title("红色连衣裙" * 20, 60) == ("红色连衣裙" * 12)
    assert len(cut_title("x" * 200, 60)) == 60
