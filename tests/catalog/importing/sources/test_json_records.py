"""JSON lines, arrays, and lists inside an object."""

import gzip
import json
from pathlib import Path

import pytest
from readings import read_text

from catalog.errors import CatalogueError


def test_json_lines_become_dotted_columns(tmp_path: Path) -> None:
    mug = '{"id": "1", "name": "Mug", "price": {"amount": 4.5, "currency": "EUR"}, "tags": ["blue", "retro"]}'
    content = mug + '\n{"id": "2", "name": "Cap"}\n'
    found = read_text(tmp_path, content, "products.jsonl")
    assert found.columns == ("id", "name", "price.amount", "price.currency", "tags")
    assert found.rows == [(1, "1", "Mug", "4.5", "EUR", "blue,retro"), (2, "2", "Cap", None, None, None)]
    assert read_text(tmp_path, gzip.compress(content.encode()), "products.jsonl.gz").rows == found.rows


def test_numbers_keep_their_digits(tmp_path: Path) -> None:
    record = '{"id": 12345678901234567890, "price": 4.50, "x": 1e-30, "sale": true, "no": null, "list": [{"x": 1.50, "y": true}]}'
    content = f"{record}\n{record}\n"
    found = read_text(tmp_path, content, "products.jsonl")
    assert found.columns == ("id", "price", "x", "sale", "no", "list")
    assert found.rows[0] == (1, "12345678901234567890", "4.50", "1e-30", "true", None, '[{"x": 1.50, "y": true}]')


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    lines = [
        '{"id": 1}',
        '{"id": 2',
        "",
        "[3]",
        '{"id": 4, "id": 5}',
        '{"id": "a\\u0000b"}',
        '{"id": "\\ud800"}',
        '{"a.b": 1, "a": {"b": 2}}',
    ]
    found = read_text(tmp_path, "\n".join(lines), "products.jsonl")
    assert found.rows == [(1, "1")]
    assert [(misfit.line, misfit.reason) for misfit in found.misfits] == [
        (2, "is no JSON: Expecting ',' delimiter at character 9"),
        (4, "is no object with names and values"),
        (5, "names 'id' twice"),
        (6, "holds a NUL or half a character"),
        (7, "holds a NUL or half a character"),
        (8, "names 'a.b' twice"),
    ]


def test_an_array_is_read_piece_by_piece(tmp_path: Path) -> None:
    records = [{"id": n, "text": "x" * 500 + '"],[{é'} for n in range(5000)]
    for indent in (None, 1):
        found = read_text(tmp_path, json.dumps(records, indent=indent, ensure_ascii=False), "products.json")
        assert found.column("id") == [str(n) for n in range(5000)]
        assert set(found.column("text")) == {records[0]["text"]}
        assert found.lines == [1 if indent is None else 2 + 4 * n for n in range(5000)]


@pytest.mark.parametrize("records", ["shop.products", None])
def test_a_list_inside_an_object_is_found_or_named(tmp_path: Path, records: str | None) -> None:
    content = '{"count": 2,\n "shop": {"name": "S", "products": [\n{"id": 1},\n{"id": 2}], "x": [1]}}'
    found = read_text(tmp_path, content, "products.json", records=records)
    assert found.rows == [(3, "1"), (4, "2")]
    assert found.notes == (() if records else ("records found in shop.products",))
    with pytest.raises(CatalogueError, match=r"has nothing at 'shop\.items'"):
        read_text(tmp_path, content, "products.json", records="shop.items")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('[{"id": 1}, {', "line 1: no JSON, or cut off"),
        ('[{"id": 1}', "line 1: ',' was expected"),
        ('[{"id": 1}] x', "something follows the array"),
        ("[]", "holds no records"),
        ("[1, 2]", "no record can be read; the first: line 1 is no object"),
        ("hello", "no JSON, or cut off"),
        ("[" * 100_000, "too many brackets"),
    ],
)
def test_what_is_no_json_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message) as error:
        read_text(tmp_path, content, "products.json")
    assert "\n" not in str(error.value)


def test_one_object_is_one_record(tmp_path: Path) -> None:
    assert read_text(tmp_path, '{"id": 1,\n"name": "Mug"}', "product.json").rows == [(1, "1", "Mug")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"1": {"name": "Tea", "price": 5}, "2": {"name": "Cup", "price": 6}}', "with an object for each of '1', '2'; it must"),
        ('{"sku": ["1", "2"], "price": [5, 6]}', "with a list for each of 'sku', 'price'; it must hold a list of records"),
    ],
)
def test_records_by_their_ids_and_columns_are_not_taken_for_one_record(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        read_text(tmp_path, content, "products.json")


def test_one_record_and_a_list_beside_others_are_read(tmp_path: Path) -> None:
    assert read_text(tmp_path, '{"id": "1", "size": {"x": 1}, "tags": ["a", "b"]}', "one.json").rows == [(1, "1", "1", "a,b")]
    two = '{"products": {"items": [{"id": "1"}, {"id": "2"}]}, "brands": {"items": [{"id": "3"}]}}'
    assert read_text(tmp_path, two, "two.json").column("id") == ["1", "2"]
