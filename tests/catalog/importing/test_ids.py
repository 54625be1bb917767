"""Ids that are likely not what the shop has: told, and left as they are."""

from tests.catalog.importing.bringing import Imports


def test_ids_that_a_spreadsheet_rounded_are_a_warning(imports: Imports) -> None:
    summary = imports.bring('sku,name\n4.00638E+12,Tea\n"1,23E+12",Cup\n12E10,Pot\n')
    assert imports.column("product_id") == ["4.00638E+12", "1,23E+12", "12E10"]
    assert summary.warnings == (
        "product_id: 2 values are numbers that a spreadsheet rounded, so that several products may share one; first: line 2: "
        "'4.00638E+12'",
    )


def test_whole_numbers_that_are_written_as_decimals_are_a_warning(imports: Imports) -> None:
    summary = imports.bring("sku,name\n1001.0,Tea\n1002.00,Cup\nA1.0,Pot\n1.5,Pan\n")
    assert imports.column("product_id") == ["1001.0", "1002.00", "A1.0", "1.5"]
    assert summary.warnings == (
        "product_id: 2 values are whole numbers written as decimals, which is not the id 1001 of another file; "
        "first: line 2: '1001.0'",
    )


def test_a_text_that_is_written_as_a_formula_is_that_text(imports: Imports) -> None:
    summary = imports.bring('sku,name\n="00124",Tea\n"=""00125""","=""Cup 7"""\n="1"&"2",Pan\n')
    assert imports.column("product_id") == ["00124", "00125", '="1"&"2"']
    assert imports.column("title") == ["Tea", "Cup 7", "Pan"]
    assert summary.rows == 3


def test_ids_that_differ_only_in_how_they_are_typed_are_kept_apart_and_told(imports: Imports) -> None:
    summary = imports.bring("sku,name\nAB-1,Tea\n007,Cup\nab-1,Pot\n7,Pan\nAB-1\u200b,Lid\n")
    assert summary.rows == 5
    assert summary.notes == (
        "product_id: 'AB-1' (line 2) and 'ab-1' (line 4) differ only in how they are typed, and are two; 1 more such",
    )


def test_ids_that_differ_are_not_told(imports: Imports) -> None:
    summary = imports.bring("sku,name\n10,Tea\n100,Cup\n01-0,Pot\n")
    assert (summary.notes, summary.warnings) == ((), ())
