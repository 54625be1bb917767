"""Spreadsheets (xlsx, xlsm, xlsb, xls, ods), read by python-calamine, one sheet as a table.

Dates become ISO text, whole numbers lose the ".0" that a spreadsheet's numbers have. A cell with an error, such as #N/A, or
with a formula that was saved without its value is empty, which is told for xlsx. Of merged cells the first has the value, which
is told for xlsx and xls.
"""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import duckdb
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import Progress, Source
from catalog.importing.sources.dialect import Header, named
from catalog.importing.sources.opening import opened
from catalog.importing.sources.records import Records
from catalog.importing.sources.valueless import valueless

EXACT = 2**53
"""Whole numbers up to this are exact in a spreadsheet."""

Cell = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta


def read_spreadsheet(
    path: Path, reading: ReadingMapping, connection: duckdb.DuckDBPyConnection, progress: Progress | None
) -> Source:
    """The rows of one sheet; a row's line is its number in the sheet.

    Raises:
        CatalogueError: it is no spreadsheet, has a password, has no such sheet, or the sheet is empty.
    """
    notes: list[str] = []
    content = _content(path)
    sheet = _sheet(_book(content), reading, notes)
    rows = _rows(sheet, reading)
    first = next(rows, None)
    if first is None:
        raise CatalogueError(f"sheet {sheet.name!r} is empty; its first row must name the columns")
    line, cells = first
    above = line if reading.header else line - 1
    notes += [*_merged(sheet, above), *valueless(content, sheet.name, above)]
    header = named(_trimmed(cells), line) if reading.header else Header(tuple(str(n + 1) for n in range(sheet.width)))
    records = Records(connection, progress, "rows read")
    records.declare(header.names)
    rounded = 0
    for line, cells in rows if reading.header else _again(first, rows):
        rounded = rounded or line * any(isinstance(cell, float) and abs(cell) > EXACT for cell in cells)
        _add(line, [cell_text(cell) for cell in cells], header, records)
    if rounded:
        notes.append(f"row {rounded} has a number of more than 15 digits, which a spreadsheet rounds; keep such ids as text")
    return records.source(path, notes, header.unnamed)


def first_rows(path: Path, count: int) -> list[tuple[str, list[list[str]]]]:
    """The first rows of each sheet with cells, as texts, by the sheet's name.

    Raises:
        CatalogueError: it is no spreadsheet.
    """
    book = _book(_content(path))
    sheets = [(name, islice(book.get_sheet_by_name(name).iter_rows(), count)) for name in _names(book)]
    return [(name, [[cell_text(cell) for cell in cells] for cells in rows]) for name, rows in sheets]


def cell_text(cell: Cell) -> str:
    """A cell as text."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e20 else repr(cell)
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat()
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    return str(cell)


def _content(path: Path) -> bytes:
    try:
        with opened(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            return file.read()
    except OSError as error:
        raise CatalogueError(f"cannot be read: {error.strerror or error}") from error


def _book(content: bytes) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (CalamineError, OSError) as error:
        raise CatalogueError(f"is no spreadsheet that can be read: {error}") from error


def _names(book: CalamineWorkbook) -> list[str]:
    return [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]


def _sheet(book: CalamineWorkbook, reading: ReadingMapping, notes: list[str]) -> CalamineSheet:
    if reading.sheet is not None:
        if reading.sheet not in book.sheet_names:
            raise CatalogueError(f"has no sheet {reading.sheet!r}; it has: {', '.join(book.sheet_names)}")
        return book.get_sheet_by_name(reading.sheet)
    names = _names(book)
    if not names:
        raise CatalogueError("has no sheet with cells")
    if len(names) > 1:
        notes.append(f"sheet {names[0]!r} read; there are also {', '.join(names[1:])}: say sheet to read another")
    return book.get_sheet_by_name(names[0])


def _rows(sheet: CalamineSheet, reading: ReadingMapping) -> Iterator[tuple[int, list[Cell]]]:
    """Rows that are not empty, with their numbers."""
    for line, cells in enumerate(sheet.iter_rows(), 1):
        if line > reading.skip and any(cell != "" for cell in cells):
            yield line, cells


def _merged(sheet: CalamineSheet, above: int) -> list[str]:
    """A note where cells below the `above` first rows are merged: those after the first are empty, meant or not."""
    ranges = [found for found in sheet.merged_cell_ranges or () if found[1][0] >= above]
    if not ranges:
        return []
    (top, left), (bottom, right) = min(ranges)
    where = f"rows {top + 1} to {bottom + 1}" if bottom > top else f"row {top + 1}"
    columns = f"columns {left + 1} to {right + 1}" if right > left else f"column {left + 1}"
    more = " and elsewhere" if len(ranges) > 1 else ""
    return [f"cells are merged ({where}, {columns}{more}): the first has the value, the others are read as empty"]


def _again(first: tuple[int, list[Cell]], rows: Iterator[tuple[int, list[Cell]]]) -> Iterator[tuple[int, list[Cell]]]:
    yield first
    yield from rows


def _trimmed(cells: Sequence[Cell]) -> list[str]:
    names = [cell_text(cell) for cell in cells]
    while names and not names[-1].strip():
        names.pop()
    return names


def _add(line: int, cells: list[str], header: Header, records: Records) -> None:
    width = len(header.names)
    filled = max(n for n, cell in enumerate(cells, 1) if cell != "")
    if filled > width:
        records.refuse(line, f"{filled} values where the header names {width}", ", ".join(cells))
    else:
        records.add(line, dict(zip(header.names, cells, strict=False)))
