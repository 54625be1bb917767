"""CSV and TSV: nothing shifts, joins or vanishes, and every row knows its line."""

import csv
import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readings import read, read_text

from catalog.errors import CatalogueError
from catalog.importing.source import Misfit


def test_rows_longer_than_the_header_do_not_come_in(tmp_path: Path) -> None:
    found = read_text(
        tmp_path, "sku,name,kind,text\n1,Mug, blue,Mug,Holds tea\n2,Cap, red,Cap,Shades the eyes\n3,Sock,Sock,Warm\n"
    )
    assert found.rows == [(4, "3", "Sock", "Sock", "Warm")]
    assert found.misfits == (
        Misfit(2, "5 values where the header names 4", "1,Mug, blue,Mug,Holds tea"),
        Misfit(3, "5 values where the header names 4", "2,Cap, red,Cap,Shades the eyes"),
    )


def test_rows_shorter_than_the_header_do_not_come_in(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,name,kind\n1,Cap,Cap\n2,Mug\n3,Sock,Sock\n")
    assert found.rows == [(2, "1", "Cap", "Cap"), (4, "3", "Sock", "Sock")]
    assert found.misfits == (Misfit(3, "2 values where the header names 3", "2,Mug"),)


def test_a_line_break_without_quotes_joins_nothing(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,name,kind,text\n1,Cap,Cap,Soft and\nwarm, and light\n2,Mug,Mug,Holds tea\n")
    assert found.rows == [(2, "1", "Cap", "Cap", "Soft and"), (4, "2", "Mug", "Mug", "Holds tea")]
    assert found.misfits == (Misfit(3, "2 values where the header names 4", "warm, and light"),)


def test_a_file_that_ends_inside_a_quoted_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"table\.csv: line 3: the file ends inside a quoted value that begins here"):
        read_text(tmp_path, 'sku,name,text\n1,Cap,Soft\n2,Mug,"Holds te')


def test_a_file_cut_inside_a_quoted_value_far_above_its_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="line 2: the file ends inside"):
        read_text(tmp_path, 'sku,name\n1,"Cap\n2,Mug\n3,Sock\n')


def test_a_file_is_cut_where_its_last_value_begins_not_where_a_quote_was_wrong(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="line 7: the file ends inside"):
        read_text(tmp_path, 'sku,name\n1,"Cap\n\n\nblue"\n2,"Re"tro\n3,"Mug\n4,x\n')


def test_a_quote_that_is_not_closed_takes_only_lines_that_are_named(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'sku,name\n1,"Cap\n2,Mug\n3,"Sock"\n4,Hat\n')
    assert found.rows == [(5, "4", "Hat")]
    assert [misfit.line for misfit in found.misfits] == [2, 3, 4]
    assert found.misfits[0].reason == "a quoted value does not end before the next separator"
    assert found.misfits[1] == Misfit(3, "stands inside the quoted value of line 2", "2,Mug")


def test_quotes_in_a_file_separated_by_tabs_are_text(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'sku\tname\tprice\n1\t"Retro mug\t4\n2\tPlain mug\t5\n3\tBlue" mug\t6\n', "quotes.tsv")
    assert found.column("name") == ['"Retro mug', "Plain mug", 'Blue" mug']
    assert not found.misfits
    assert "quotes are text: values are not quoted" in found.notes


def test_a_file_separated_by_tabs_that_uses_quotes_is_still_refused_when_cut(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="line 3: the file ends inside"):
        read_text(tmp_path, 'sku\tname\n1\t"Retro\tmug"\n2\t"Plain', "cut.tsv")


def test_quotes_inside_a_value_are_text(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'sku,name\n1,Pipe 5" wide\n2,"Pipe ""6"" wide"\n')
    assert found.column("name") == ['Pipe 5" wide', 'Pipe "6" wide']


def test_backslashes_before_quotes_are_found(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'sku,name\n1,"A \\"retro\\", blue mug"\n2,Cap\n')
    assert found.column("name") == ['A "retro", blue mug', "Cap"]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("sku,name\r1,Cap\r2,Mug\r", [(2, "1", "Cap"), (3, "2", "Mug")]),
        ("\n\nsku,name\n1,Cap\n", [(4, "1", "Cap")]),
        ("sku,name,,\n1,Cap,,\n2,Mug,,\n", [(2, "1", "Cap"), (3, "2", "Mug")]),
        ("sep=;\nsku;name\n1;Cap\n", [(3, "1", "Cap")]),
        ('"sep=;"\r\nsku;name\r\n1;Cap\r\n', [(3, "1", "Cap")]),
        ("\ufeffsku,name\n1,Cap\n", [(2, "1", "Cap")]),
        (" sku , name \n1,Cap\n", [(2, "1", "Cap")]),
        ("sku,name\n1,Cap", [(2, "1", "Cap")]),
        ("sku,name\r\n1,Cap\n\n2,Mug\r\n", [(2, "1", "Cap"), (4, "2", "Mug")]),
        ('sku,name\n1,""\n,Mug\n', [(2, "1", None), (3, None, "Mug")]),
    ],
    ids=["mac", "blank-first", "empty-header", "sep", "sep-quoted", "bom", "spaces", "no-end", "mixed-ends", "empty-quoted"],
)
def test_what_exports_do_to_the_form_of_a_file_is_understood(
    tmp_path: Path, content: str, rows: list[tuple[object, ...]]
) -> None:
    found = read_text(tmp_path, content)
    assert found.columns == ("sku", "name")
    assert found.rows == rows
    assert not found.misfits


@pytest.mark.parametrize("content", ["sku,name\n1,Cap,\n2,Mug,\n", "sku,name,\n1,Cap\n2,Mug\n"], ids=["rows", "header"])
def test_separators_at_the_end_of_all_rows_or_of_the_header_make_no_column(tmp_path: Path, content: str) -> None:
    found = read_text(tmp_path, content)
    assert found.columns == ("sku", "name")
    assert found.rows == [(2, "1", "Cap"), (3, "2", "Mug")]


def test_what_was_passed_over_is_told(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\n\nsku,name\n1,Cap\n").notes == ("2 blank lines before the table skipped",)
    assert read_text(tmp_path, "sep=;\nsku;name\n1;Cap\n").notes[0].startswith("line 1 says that semicolon separates values")
    dropped = read_text(tmp_path, "sku,name,,\n1,Cap,,\n").notes
    assert dropped[0] == "column 3 has neither a name nor a value, and is left out"


def test_a_column_with_values_and_without_a_name_is_kept(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,,name,\n1,x,Cap,\n")
    assert found.columns == ("sku", "column 2", "name")
    assert found.rows == [(2, "1", "x", "Cap")]


def test_a_semicolon_separates_where_commas_are_decimal_marks(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku;name;price\n1;Bell;1.299\n2;Helmet;49,90\n")
    assert found.rows == [(2, "1", "Bell", "1.299"), (3, "2", "Helmet", "49,90")]
    assert found.notes == ("separator semicolon found",)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"line 1: the header names columns twice: 'name' \(2 and 3\)"):
        read_text(tmp_path, "sku,name,name\n1,Cap,Hat\n")


def test_names_that_differ_in_case_alone_are_two_columns(tmp_path: Path) -> None:
    assert read_text(tmp_path, "Sku,sku\n1,2\n").columns == ("Sku", "sku (2)")


def test_a_nul_byte_is_no_end_of_a_value(tmp_path: Path) -> None:
    found = read_text(tmp_path, b"sku,name\n1,Mu\0g\n2,Cap\n")
    assert found.rows == [(3, "2", "Cap")]
    assert found.misfits == (Misfit(2, "name holds a NUL byte", "1, Mu␀g"),)


def test_a_file_without_a_header_has_columns_by_position(tmp_path: Path) -> None:
    content = "1,Cap,Headwear\n2,Mug,Kitchen\n"
    found = read_text(tmp_path, content, header=False)
    assert found.columns == ("1", "2", "3")
    assert found.rows == [(1, "1", "Cap", "Headwear"), (2, "2", "Mug", "Kitchen")]
    assert read_text(tmp_path, content).notes[0].startswith("line 1 looks like a row ('1')")


def test_lines_before_the_header_are_skipped_as_said(tmp_path: Path) -> None:
    assert read_text(tmp_path, "Export of May\n\nsku,name\n1,Cap\n", skip=2).rows == [(4, "1", "Cap")]
    with pytest.raises(CatalogueError, match="first line has one value and the others 2, separated by comma"):
        read_text(tmp_path, "Export of May\nsku,name\n1,Cap\n2,Mug\n")


def test_one_column_may_hold_what_separates_elsewhere(tmp_path: Path) -> None:
    assert read_text(tmp_path, "name\nMug, blue\nCap\n").rows == [(2, "Mug, blue"), (3, "Cap")]


def test_rows_without_any_value_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read_text(tmp_path, "sku,name\n1,Cap\n,\n,\n")
    assert found.rows == [(2, "1", "Cap")]
    assert found.notes == ("2 rows without any value left out",)


def test_a_header_alone_is_no_rows_and_nothing_is_no_file(tmp_path: Path) -> None:
    assert read_text(tmp_path, "sku,name\n").rows == []
    for nothing in ("", "\n\n", "\ufeff"):
        with pytest.raises(CatalogueError, match="is empty"):
            read_text(tmp_path, nothing)


def test_a_row_of_more_than_two_million_bytes_does_not_come_in(tmp_path: Path) -> None:
    found = read_text(tmp_path, f"sku,name\n1,{'x' * 2_100_000}\n2,Cap\n")
    assert found.rows == [(3, "2", "Cap")]
    assert [(misfit.line, misfit.reason) for misfit in found.misfits] == [(2, "the row is longer than 2 million bytes")]
    assert len(found.misfits[0].text) == 200


def test_several_characters_may_separate(tmp_path: Path) -> None:
    found = read_text(tmp_path, 'sku||name\n1||"Mug\nblue"\n2||Cap\n', separator="||")
    assert found.rows == [(2, "1", "Mug\nblue"), (4, "2", "Cap")]


@pytest.mark.parametrize("separator", ["\n", '"', "€€"])
def test_what_cannot_separate_is_refused(tmp_path: Path, separator: str) -> None:
    with pytest.raises(CatalogueError, match=r"separator .* cannot be used; allowed: up to 4 bytes"):
        read_text(tmp_path, "sku,name\n1,Cap\n", separator=separator)


def test_packed_files_are_read(tmp_path: Path) -> None:
    content = b"sku,name\n1,Cap\n"
    assert read_text(tmp_path, gzip.compress(content), "table.csv.gz").rows == [(2, "1", "Cap")]
    assert read_text(tmp_path, gzip.compress(content), "table.csv").rows == [(2, "1", "Cap")]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("table.csv", content)
    assert read_text(tmp_path, buffer.getvalue(), "table.zip").rows == [(2, "1", "Cap")]
    with pytest.raises(CatalogueError, match="packed, and damaged or cut short"):
        read_text(tmp_path, gzip.compress(content * 100)[:-9], "table.csv.gz")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"cannot read .*nowhere\.csv: No such file"):
        read(tmp_path / "nowhere.csv")


def test_lines_are_the_files_where_everything_happens_at_once(tmp_path: Path) -> None:
    content = 'sep=;\n\n"sku";"na\nme"\n1;"a\n\nb"\n\n2;short;long\n3;"x\r\ny"\n\n\n4;"z"\n5\n6;ok'
    found = read_text(tmp_path, content)
    assert found.columns == ("sku", "na me")
    assert found.rows == [(5, "1", "a\n\nb"), (10, "3", "x\ny"), (14, "4", "z"), (16, "6", "ok")]
    assert [(misfit.line, misfit.reason) for misfit in found.misfits] == [
        (9, "3 values where the header names 2"),
        (15, "1 value where the header names 2"),
    ]


_CELL = st.text(alphabet=st.sampled_from("ab1 ,;\t|\"'\n\r\\=é€日😀"), max_size=6)
_TABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(_CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)
_FEW = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _written(rows: list[list[str]], separator: str, end: str, quoting: int) -> tuple[str, list[int]]:
    """The file as Python's csv module writes it, and the line each row begins on."""
    text, lines = "", []
    for row in rows:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=separator, lineterminator=end, quoting=quoting).writerow(row)  # type: ignore[arg-type]
        lines.append(1 + text.count(end[-1]))
        text += buffer.getvalue()
    return text, lines


@pytest.mark.slow
@_FEW
@given(
    rows=_TABLE,
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_comes_back(
    tmp_path: Path, rows: list[list[str]], separator: str, end: str, quoting: int
) -> None:
    header = [f"name {n}" for n in range(len(rows[0]))]
    quoting = (
        csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else quoting
    )  # csv leaves them bare, as line ends
    text, lines = _written([header, *rows], separator, end, quoting)
    found = read_text(tmp_path, text, separator=separator, quote='"')
    same = [(line, *(cell.replace("\r\n", "\n") or None for cell in row)) for line, row in zip(lines[1:], rows, strict=True)]
    assert found.columns == tuple(header)
    assert found.rows == [row for row in same if any(row[1:])]
    assert not found.misfits


@pytest.mark.slow
@_FEW
@given(
    rows=st.lists(st.tuples(*[st.text("abc 1.é\n\"'", min_size=1, max_size=8)] * 3), min_size=2, max_size=8),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_the_separator_is_found(tmp_path: Path, rows: list[tuple[str, ...]], separator: str, end: str) -> None:
    if end == "\r":
        rows = [tuple(cell.replace("\n", " ") for cell in row) for row in rows]
    text, lines = _written([["sku", "name", "kind"], *map(list, rows)], separator, end, csv.QUOTE_MINIMAL)
    found = read_text(tmp_path, text)
    assert found.rows == [(line, *row) for line, row in zip(lines[1:], rows, strict=True)]


@pytest.mark.slow
def test_the_lines_of_a_large_file_are_exact(tmp_path: Path) -> None:
    """Larger than what one thread of DuckDB reads at a time (32 MB), so that pieces begin inside quoted values."""
    rows = [[str(n), "x" * (n % 700) + "\n\n" * (n % 3) + 'y"' * (n % 2), "" if n % 5 else "a,b\nc"] for n in range(100_000)]
    text, lines = _written([["sku", "text", "more"], *rows[:1000]], ",", "\n", csv.QUOTE_MINIMAL)
    with (tmp_path / "large.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["sku", "text", "more"], *rows])
    expected, line = [], 2
    for row in rows:
        expected.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
    assert expected[:1000] == lines[1:]
    assert len(text) > 300_000
    found = read(tmp_path / "large.csv")
    assert found.lines == expected
    assert found.column("text") == [row[1] or None for row in rows]


def test_returns_inside_values_stay_where_a_line_goes_on_in_the_next_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.importing.sources.encoding.PIECE", 7)
    monkeypatch.setattr("catalog.importing.sources.lines._SAMPLE", 24)
    (tmp_path / "shop.csv").write_bytes('sku,name,text\n1,Café,"a\rb\rcé\r\nd\r"\n2,Cap,"\ré"\n'.encode())
    found = read(tmp_path / "shop.csv")
    assert found.misfits == ()
    assert found.rows == [(2, "1", "Café", "a\rb\rcé\nd\r"), (4, "2", "Cap", "\ré")]
