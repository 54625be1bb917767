import pytest

from models.describer.answers import Fact, Sentence
from models.describer.config import GenerationConfig
from models.describer.generation.reranking import Aim, Candidate, best, cost, holds, likeness, sound

RED, NIKE = Fact("base_colour", "Red"), Fact("brand", "Nike")
BOTH = frozenset((RED, NIKE))


def candidate(text: str, *facts: Fact, log_probability: float = -1.0, ended: bool = True) -> Candidate:
    return Candidate((Sentence(text, facts),), log_probability, ended)


def test_each_reason_costs_what_the_configuration_says() -> None:
    config = GenerationConfig(missing=2.0, unused_keyword=3.0, alike=5.0, unfinished=7.0)
    text = "a red shirt for summer days"
    aim = Aim(BOTH, ("summer", "gift"), ("A red shirt for winter days.",))
    found = cost(candidate(text, RED, ended=False), aim, config)
    assert found == pytest.approx(1.0 + 2.0 * 1 / 2 + 3.0 * 1 + 5.0 * 2 / 4 + 7.0)


def test_the_one_that_states_more_is_taken_and_of_equal_ones_the_first() -> None:
    config, aim = GenerationConfig(), Aim(BOTH, (), ())
    one, both = candidate("red", RED, log_probability=-0.9), candidate("red by nike", RED, NIKE, log_probability=-1.0)
    assert best([one, both], aim, config) is both
    twin = candidate("nike in red", NIKE, RED)
    assert best([both, twin], aim, config) is both and best([twin, both], aim, config) is twin
    assert best([Candidate((), 0.0, True)], aim, config) is None


@pytest.mark.parametrize(
    ("text", "keyword", "expected"),
    [
        ("A Summer-dress for you", "summer dress", True),
        ("A midsummer dress", "summer", False),
        ("Dress", "dresses", False),
        ("Anything", "!!", False),
    ],
)
def test_a_keyword_is_held_as_whole_words(text: str, keyword: str, expected: bool) -> None:
    assert holds(text, keyword) is expected


def test_likeness_is_the_share_of_trigrams_in_the_most_similar_text() -> None:
    assert likeness("a b c d", ["x y z", "A B C!"]) == 0.5
    assert likeness("a b c d", []) == 0.0
    assert likeness("a b", ["a b"]) == 0.0  # nothing to compare


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A fine shirt.", True),
        ("A fine fine shirt.", False),
        ("A shirt.", False),
        ("TheTheThe fine shirt", False),
        ("...", False),
    ],
)
def test_a_sound_sentence_has_words_and_none_twice_in_a_row(text: str, expected: bool) -> None:
    assert sound(text, 3) is expected
