"""Spreadsheets: a sheet as a table."""

from pathlib import Path

import pytest
from readings import read, read_text
from spreadsheets import formula, number, text, write_xlsx

from catalog.errors import CatalogueError
from catalog.importing.sources.valueless import valueless

DAY, MOMENT = 1, 2  # styles in which a number is a date


@pytest.fixture
def book(tmp_path: Path) -> Path:
    rows = {
        3: [text("B", "sku"), text("C", " price "), text("D", "added"), text("E", "name")],
        5: [number("B", "12"), number("C", "4.5"), number("D", "45322", DAY), text("E", "Mug")],
        6: [number("B", "1000"), number("D", "45322.5", MOMENT), text("E", "Cap\nblue")],
        7: [number("B", "3"), text("F", "too far")],
    }
    return write_xlsx(tmp_path / "book.xlsx", {"Front": {1: [text("A", "hello")]}, "Items": rows})


def test_a_sheet_is_a_table_with_its_own_row_numbers(book: Path) -> None:
    found = read(book, sheet="Items")
    assert found.columns == ("sku", "price", "added", "name")
    assert found.rows == [(5, "12", "4.5", "2024-01-31", "Mug"), (6, "1000", None, "2024-01-31T12:00:00", "Cap\nblue")]
    assert [(misfit.line, misfit.reason) for misfit in found.misfits] == [(7, "5 values where the header names 4")]


def test_the_first_sheet_is_read_and_others_are_told(book: Path) -> None:
    assert read(book).notes == ("sheet 'Front' read; there are also Items: say sheet to read another",)
    with pytest.raises(CatalogueError, match="has no sheet 'Prices'; it has: Front, Items"):
        read(book, sheet="Prices")


def test_a_sheet_without_a_header(book: Path) -> None:
    found = read(book, sheet="Items", header=False, skip=4)
    assert found.columns[:4] == ("1", "2", "3", "4")
    assert found.rows[0][:3] == (5, "12", "4.5")


def test_a_number_that_a_spreadsheet_rounds_is_told(tmp_path: Path) -> None:
    rows = {1: [text("A", "ean")], 2: [number("A", "12345678901234567890")]}
    assert read(write_xlsx(tmp_path / "book.xlsx", {"S": rows})).notes[0].startswith("row 2 has a number of more than 15 digits")


@pytest.mark.parametrize(
    ("merged", "told"),
    [
        (["B2:B3"], ["cells are merged (rows 2 to 3, column 2): the first has the value, the others are read as empty"]),
        (
            ["A4:B4", "B2:B3"],
            ["cells are merged (rows 2 to 3, column 2 and elsewhere): the first has the value, the others are read as empty"],
        ),
        (["A1:B1"], []),  # of the header
    ],
)
def test_merged_cells_are_told(tmp_path: Path, merged: list[str], told: list[str]) -> None:
    rows = {1: [text("A", "sku"), text("B", "brand")], 2: [text("A", "1"), text("B", "Ada")], 3: [text("A", "2")]}
    found = read(write_xlsx(tmp_path / "book.xlsx", {"S": rows}, tuple(merged)))
    assert found.rows == [(2, "1", "Ada"), (3, "2", None)]
    assert list(found.notes) == told


UNSAVED = "formulas were saved without their values (%s) and are read as empty: save the file in a spreadsheet program"


@pytest.mark.parametrize(
    ("cell", "calculates", "read_as", "told"),
    [
        (formula("B", None), False, None, [UNSAVED % "B2"]),
        (formula("B", ""), True, None, [UNSAVED % "B2"]),
        (formula("B", "4"), False, "4", []),
        (formula("B", "", "str"), False, None, []),  # a text that is empty
        (
            formula("B", "0"),
            True,
            "0",
            [
                "formulas were not calculated by the program that saved the file (B2): their values are read as they are, which "
                "may be 0; save the file in a spreadsheet program"
            ],
        ),
        (formula("B", "#N/A", "e"), False, None, ["cells hold an error such as #N/A (B2): they are read as empty"]),
        (formula("B", "#REF!", "e"), True, None, ["cells hold an error such as #REF! (B2): they are read as empty"]),
    ],
)
def test_cells_without_a_value_are_told(
    tmp_path: Path, cell: str, calculates: bool, read_as: str | None, told: list[str]
) -> None:
    rows = {1: [text("A", "sku"), formula("B", "price", "str")], 2: [text("A", "1"), cell]}
    found = read(write_xlsx(tmp_path / "book.xlsx", {"Front": {}, "S": rows}, calculates=calculates), sheet="S")
    assert found.rows == [(2, "1", read_as)]
    assert list(found.notes) == told


def test_cells_without_a_value_are_counted(tmp_path: Path) -> None:
    rows = {1: [text("A", "sku"), text("B", "price")]} | {n: [text("A", "1"), formula("B", None)] for n in range(2, 1502)}
    assert list(read(write_xlsx(tmp_path / "book.xlsx", {"S": rows})).notes) == [UNSAVED % "B2 and 1,499 more"]


def test_a_sheet_whose_cells_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    content = write_xlsx(tmp_path / "book.xlsx", {"S": {1: [text("A", "sku")]}}).read_bytes()
    assert valueless(content, "S", 1) == []
    assert valueless(content, "T", 1) == [
        "which cells have errors, or formulas without a value, cannot be told: the cells of sheet 'T' are not where the file says"
    ]
    assert valueless(b"PK no archive", "S", 1) == []


def test_a_spreadsheet_is_known_whatever_its_name(book: Path) -> None:
    assert read(book.rename(book.with_suffix(".csv")), sheet="Items").lines == [5, 6]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 600])
def test_what_is_no_spreadsheet_is_one_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CatalogueError, match="no spreadsheet that can be read"):
        read_text(tmp_path, content, "book.xlsx", format="xlsx")


def test_a_sheet_without_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="sheet 'S' is empty"):
        read(write_xlsx(tmp_path / "book.xlsx", {"S": {}}))
