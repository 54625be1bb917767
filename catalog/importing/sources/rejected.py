# ruff: noqa: S608 (names are constants)
"""The lines that DuckDB made no row of, each with its reason.

Which they are is told by what is in the table, not by what DuckDB says it left out: that has gaps where quotes are wrong.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.source import LINE, TABLE, Misfit
from catalog.importing.sources.dialect import Dialect, Header
from catalog.importing.sources.lines import NUMBER, RETURN, SHORTENED
from catalog.importing.sources.table import one

LINES = "__lines"
"""Column for as long as lines are counted: how many numbered lines a row takes."""

_LOOK = 4096  # bytes in which a line's number is looked for
_FETCH = 10_000  # rows that are held at a time


@dataclass(frozen=True)
class Copy:
    """A file whose lines have numbers, which stand before a first separator.

    Attributes:
        path: Of the copy.
        first: Number of its first line.
        lines: That have a number; blank ones have none.
        last: Number of the last of them.
        separator: After the number.
    """

    path: Path
    first: int
    lines: int
    last: int
    separator: str

    def numbered(self) -> Iterator[tuple[int, str]]:
        """The lines that have numbers, with them; blank ones stand in the copy too, so that it is enough to count."""
        with self.path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, self.first):
                if line != "\n":
                    yield number, line

    def text(self, line: str) -> str:
        """What stands after the number."""
        return line.partition(self.separator)[2].removesuffix("\n").replace(RETURN, "\r")

    def number_at(self, byte: int) -> int | None:
        """The number of the line that begins at this byte (0 is the first) or after blank lines there; None where none does."""
        with self.path.open("rb") as file:
            file.seek(byte)
            start = file.read(_LOOK).decode("utf-8", "ignore").lstrip("\n")
        number = start[len(NUMBER) :].partition(self.separator)[0]
        return int(number) if start.startswith(NUMBER) and number.isdecimal() else None


@dataclass(frozen=True)
class Reason:
    """Why a row was not taken."""

    text: str
    quoting: bool


def rejected(connection: duckdb.DuckDBPyConnection, copy: Copy, header: Header, dialect: Dialect) -> tuple[list[Misfit], int]:
    """The lines that are in no row, and the line in whose quoted value the file ends, or 0.

    Raises:
        CatalogueError: rows and lines do not agree.
    """
    connection.execute(f"DELETE FROM {TABLE} WHERE {LINE} IS NULL")
    if one(connection, f"SELECT sum({LINES}) FROM {TABLE}") == copy.lines:
        return [], 0
    reasons = _reasons(connection, copy, header)
    misfits: list[Misfit] = []
    begun, run = 0, 0  # the line of the row that the lines after it belong to; the first after the last row that was taken
    for number, text, first in _left(connection, copy):
        run = number if first else run
        if first or number in reasons:
            begun = number
        reason = reasons.get(begun, Reason("the row cannot be read", False))
        if number != begun:
            reason = Reason(
                f"stands inside the quoted value of line {begun}" if reason.quoting else "the row cannot be read", True
            )
        misfits.append(Misfit(number, reason.text, text[:SHORTENED]))
    ends = dialect.quote and misfits and misfits[-1].line == copy.last and any(reason.quoting for reason in reasons.values())
    return misfits, _open(copy, dialect, run) if ends else 0


def _left(connection: duckdb.DuckDBPyConnection, copy: Copy) -> Iterator[tuple[int, str, bool]]:
    """Lines that are in no row, and whether the line before is in one."""
    rows = _rows(connection)
    begins, takes = next(rows, (0, 0))
    inside, first = 0, True
    for number, line in copy.numbered():
        if number == begins:
            if inside:
                break
            inside = takes
            begins, takes = next(rows, (0, 0))
        if inside:
            inside, first = inside - 1, True
        else:
            yield number, copy.text(line), first
            first = False
    if inside or begins:
        raise CatalogueError(f"line {begins}: rows and lines do not agree; say separator and quote in the mapping")


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {LINE}, {LINES} FROM {TABLE} ORDER BY {LINE}")
        while rows := cursor.fetchmany(_FETCH):
            yield from rows


def _reasons(connection: duckdb.DuckDBPyConnection, copy: Copy, header: Header) -> dict[int, Reason]:
    """Why rows were not taken, by the line they begin on."""
    found = connection.execute(
        "SELECT line_byte_position, min(column_idx), max(column_idx), list(error_type::VARCHAR) FROM reject_errors "
        "GROUP BY line_byte_position"
    ).fetchall()
    reasons = ((copy.number_at(byte - 1), _reason(kinds, least, most, header)) for byte, least, most, kinds in found if byte)
    return {number: reason for number, reason in reasons if number is not None}


def _reason(kinds: list[str], least: int, most: int, header: Header) -> Reason:
    if "UNQUOTED VALUE" in kinds:
        return Reason("a quoted value does not end before the next separator", True)
    if "LINE SIZE OVER MAXIMUM" in kinds:
        return Reason("the row is longer than 2 million bytes", False)
    found = (least if "MISSING COLUMNS" in kinds else most) - 1
    if found == len(header.names):
        return Reason(f"the row cannot be read ({', '.join(sorted(set(kinds))).lower()})", False)
    whose = "the header names" if header.line is not None else "most rows have"
    return Reason(f"{found} value{'s' * (found != 1)} where {whose} {len(header.names)}", False)


def _open(copy: Copy, dialect: Dialect, first: int) -> int:
    """The line, from `first` on, in which a quoted value begins that the file does not end; 0 without one."""
    begun = 0

    def tail() -> Iterator[str]:
        nonlocal begun
        for number, line in copy.numbered():
            if number >= first:
                begun = begun or number
                yield copy.text(line) + "\n"

    reader = csv.reader(tail(), **dialect.options, strict=True)
    while True:
        try:
            if next(reader, None) is None:
                return 0
            begun = 0
        except csv.Error as error:
            if "unexpected end" in str(error) or "limit" in str(error):
                return begun
            begun = 0
