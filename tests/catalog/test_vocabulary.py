import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogueError
from catalog.vocabulary import UNKNOWN, Vocabulary


def test_frequent_values_come_first_and_ties_by_name() -> None:
    vocabulary = Vocabulary.fit(["b", "a", "c", "c", None, float("nan"), "", "NA"])
    assert vocabulary.values == ("c", "a", "b")
    assert [vocabulary.encode(v) for v in ("c", "a", "b", "new", None, "")] == [1, 2, 3, 0, 0, 0]
    assert vocabulary.decode(0) == UNKNOWN
    assert len(vocabulary) == 4


def test_rare_values_are_unknown() -> None:
    assert Vocabulary.fit(["a", "a", "b"], min_count=2).values == ("a",)


@given(st.lists(st.text()))
def test_round_trips(values: list[str]) -> None:
    vocabulary = Vocabulary.fit(values)
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary
    assert Vocabulary.fit(reversed(values)) == vocabulary
    for value in set(values) - {"", "NA"}:
        assert vocabulary.decode(vocabulary.encode(value)) == value


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError, match="outside a vocabulary of 2"):
        Vocabulary.fit(["a"]).decode(index)


@pytest.mark.parametrize("data", [{}, {"values": "ab"}, {"values": ["a", "a"]}, {"values": ["a", ""]}, {"values": [1]}])
def test_a_damaged_vocabulary_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(CatalogueError, match="vocabulary needs"):
        Vocabulary.from_dict(data)
