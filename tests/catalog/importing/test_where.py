from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import CatalogueError
from catalog.importing.sql import listed, name, text
from catalog.importing.where import parse

COLUMNS = ["quantity", "Post type", "a is b", "type", "parent"]
ROWS = [
    {"quantity": "2", "Post type": "product", "a is b": "x", "type": "simple", "parent": None},
    {"quantity": "-2.0", "Post type": "page", "a is b": None, "type": " variable ", "parent": "1"},
    {"quantity": "many", "Post type": None, "a is b": "y", "type": "it's", "parent": "2"},
    {"quantity": None, "Post type": "product", "a is b": None, "type": None, "parent": None},
]


def kept(condition: str) -> list[int]:
    """Places of the rows that a condition keeps."""
    found = parse(condition, COLUMNS)
    return [place for place, row in enumerate(ROWS) if _one(f"SELECT {found.sql} FROM ({_row(row)})")]


def _row(row: dict[str, str | None]) -> str:
    return "SELECT " + ", ".join(f"CAST({'NULL' if v is None else text(v)} AS VARCHAR) AS {name(c)}" for c, v in row.items())


def _one(sql: str) -> Any:
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()[0][0]


@pytest.mark.parametrize(
    ("condition", "places"),
    [
        ("quantity > 0", [0]),
        ("quantity <= 2", [0, 1]),
        ("quantity = 2", [0]),
        ("quantity = -2", [1]),
        ("quantity != 2", [1, 2, 3]),
        ("Post type = product", [0, 3]),
        ('"Post type" = product', [0, 3]),
        ("Post type != product", [1, 2]),
        ("a is b is given", [0, 2]),
        ("type in (simple, variable)", [0, 1]),
        ("type not in (simple, 'variable')", [2, 3]),
        ("type in(simple)", [0]),
        ("quantity in (many, 2.0)", [0, 2]),
        ('type = "it\'s"', [2]),
        ("parent is missing", [0, 3]),
        ("parent IS given", [1, 2]),
    ],
)
def test_rows_that_a_condition_keeps(condition: str, places: list[int]) -> None:
    assert kept(condition) == places


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("quantity >", "position 11: a value is expected"),
        ("quantity > many", "position 11: a number is expected after >"),
        ("quantity > 1e999", "position 11: a number is expected after >"),
        ("colour = red", "names column 'colour'; the file has: quantity, Post type"),
        ("type in (a", r"position 11: \) is expected"),
        ("type in a", r"position 8: \( is expected after in"),
        ("type in (a) b", "position 12: nothing is expected after"),
        ("type in ()", "position 10: a value is expected"),
        ("type", "position 1: an operator is expected: =, !="),
        ("'quantity > 1", "position 1: the quote is not closed"),
        ("'type' x = 1", "position 7: an operator is expected"),
        ("quantity is nice", "position 12: missing or given is expected after is"),
        ("type = 'it''s'", "position 7: the quoted value must end at its quote"),
        ("", "position 1: an operator is expected"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_position(condition: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        parse(condition, COLUMNS)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30))
def test_what_a_person_says_is_never_sql(value: str) -> None:
    assert _one(f"SELECT {text(value)}") == value
    assert _one(f"SELECT len({listed([value, value])})") == 2
    if value:
        with duckdb.connect() as connection:
            assert connection.execute(f"SELECT 1 AS {name(value)}").description[0][0] == value


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_one_line(condition: str) -> None:
    try:
        found = parse(condition, COLUMNS)
    except CatalogueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert _one(f"SELECT {found.sql} FROM ({_row(ROWS[0])})") in (True, False)
