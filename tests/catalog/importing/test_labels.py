import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from catalog.importing.labels import KIND_WORDS, SPLIT_WORDS, fold, tidy, word
from catalog.text import normalise


def test_the_commonest_spelling_stands_for_all() -> None:
    folding = fold([("SHIRT", 2), ("Shirt", 5), ("shirt", 1), ("Mug", 1)])
    assert dict(folding.becomes) == {"SHIRT": "Shirt", "Shirt": "Shirt", "shirt": "Shirt", "Mug": "Mug"}
    assert (folding.folded, folding.rows) == ({"Shirt": ("SHIRT", "shirt")}, 3)
    assert folding.note("article_type") == "article_type: 'SHIRT', 'shirt' became 'Shirt' (3 rows)"


def test_entities_spaces_and_unicode_forms_are_one() -> None:
    decomposed = unicodedata.normalize("NFD", "Café &amp; Tea")
    assert set(fold([("Café & Tea", 1), (decomposed, 1), ("café  &  tea", 1), (" Café &amp; Tea", 1)]).becomes.values()) == {
        "Café & Tea"
    }


def test_nothing_folded_is_nothing_said() -> None:
    assert fold([("Shirt", 2), ("Mug", 1)]).note("article_type") is None


def test_a_long_list_is_cut_short() -> None:
    note = fold([(label, 1) for n in range(9) for label in (f"Kind {n}", f"KIND {n}")]).note("article_type")
    assert note is not None
    assert note.endswith("; 5 more labels likewise (9 rows)")


@given(st.lists(st.tuples(st.text(min_size=1), st.integers(1, 9)), max_size=8, unique_by=lambda pair: pair[0]))
def test_folding_joins_what_normalises_alike_and_nothing_else(labels: list[tuple[str, int]]) -> None:
    becomes = fold(labels).becomes
    for one, _ in labels:
        for other, _ in labels:
            if normalise(one) == normalise(other):
                assert becomes[one] == becomes[other]
            elif normalise(tidy(one)) == normalise(one) and normalise(tidy(other)) == normalise(other):
                assert becomes[one] != becomes[other]


def test_words_of_splits_and_kinds() -> None:
    assert [word(value, SPLIT_WORDS) for value in ("Train", "val", " DEV ", "testing", "holdout")] == [
        "train",
        "validation",
        "validation",
        "test",
        None,
    ]
    assert [word(value, KIND_WORDS) for value in ("View", "cart", "addtocart")] == ["view", "cart", None]
