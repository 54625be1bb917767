# ruff: noqa: S608 (names and strings are quoted by table.py)
"""CSV, TSV and their kin, read by DuckDB, with every row's line.

Each line is given its number as a first value before DuckDB reads it, so that a row carries the line it begins on, whatever the
dialect makes of the lines after it. A line inside a quoted value leaves its number there, which is then taken out again. So it
can be counted whether all lines came in, in a row or with a reason: none is lost without a word.
"""

from dataclasses import replace
from pathlib import Path

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import LINE, TABLE, Misfit, Progress, Source
from catalog.importing.sources.dialect import Dialect, Header, dialect_of, header_of, named_separator, start
from catalog.importing.sources.encoding import UNREADABLE, decoded, encoding_of
from catalog.importing.sources.lines import NUMBER, RETURN, SHORTENED, Lines, told
from catalog.importing.sources.opening import opened
from catalog.importing.sources.rejected import LINES, Copy, rejected
from catalog.importing.sources.table import one, quoted, text, without_empty


def read_delimited(
    path: Path, reading: ReadingMapping, folder: Path, connection: duckdb.DuckDBPyConnection, progress: Progress | None
) -> Source:
    """The rows of a delimited file.

    Raises:
        CatalogueError: it is empty, in no known encoding, ends inside a quoted value, or its header cannot be used.
    """
    with opened(path) as file:
        encoding = encoding_of(file, reading.encoding)
    with opened(path) as file:
        lines = Lines(decoded(file, encoding), progress)
        said, notes = start(lines, reading)
        dialect = dialect_of(lines.sample(), reading, said)
        header, hints = header_of(lines, dialect, reading)
        copy = _numbered(lines, dialect.separator, folder / "numbered.csv")
    if reading.encoding is None and encoding.name not in ("utf-8", "utf-8-sig"):
        notes.append(f"encoding {encoding.name} found")
    if len(header.names) > 1 and reading.separator is None and said is None and dialect.separator != ",":
        notes.append(f"separator {named_separator(dialect.separator)} found")
    dialect, misfits = _read(connection, copy, header, dialect, reading)
    if dialect.quote == "" and reading.quote is None:
        notes.append("quotes are text: values are not quoted")
    if lines.seen.unreadable:
        misfits += _unreadable(connection, header, encoding.name)
    copy.path.unlink()
    columns, rows, dropped = without_empty(connection, header.names, header.unnamed)
    notes += [*hints, *dropped, *told(lines.seen)]
    return Source(path, columns, rows, tuple(sorted(misfits, key=lambda misfit: misfit.line)), tuple(notes), connection)


def _numbered(lines: Lines, separator: str, path: Path) -> Copy:
    begun, written, last = lines.number + 1, 0, 0
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        for block in lines.blocks():
            first = lines.number + 1
            file.write("".join([f"{NUMBER}{n}{separator}{line}\n" if line else "\n" for n, line in enumerate(block, first)]))
            filled = len(block) - block.count("")
            written += filled
            last = next((n for n in range(first + len(block) - 1, first - 1, -1) if block[n - first]), last)
    return Copy(path, begun, written, last, separator)


def _read(
    connection: duckdb.DuckDBPyConnection, copy: Copy, header: Header, dialect: Dialect, reading: ReadingMapping
) -> tuple[Dialect, list[Misfit]]:
    """The table in the dialect or, where tabs separate values and quotes turn out to be text, in the one without quotes."""
    misfits, cut = _read_as(connection, copy, header, dialect)
    if misfits and dialect.separator == "\t" and reading.quote is None:
        plain = replace(dialect, quote="", escape="")
        others, _ = _read_as(connection, copy, header, plain)
        if len(others) < len(misfits) and not _any_quoted(connection, header):
            return plain, others
        misfits, cut = _read_as(connection, copy, header, dialect)
    if cut:
        raise CatalogueError(
            f"line {cut}: the file ends inside a quoted value that begins here; it was cut off, or quotes are text "
            '(then say quote: "" in the mapping)'
        )
    return dialect, misfits


def _read_as(connection: duckdb.DuckDBPyConnection, copy: Copy, header: Header, dialect: Dialect) -> tuple[list[Misfit], int]:
    """The table in this dialect; the lines that do not fit, and the one in whose quoted value the file ends, or 0."""
    cells = [f"c{n}" for n in range(1, len(header.names) + 1)]
    options = {
        "delim": dialect.separator,
        "quote": dialect.quote,
        "escape": dialect.escape if dialect.quote else "",
        "comment": "",
        "nullstr": "",
        "new_line": "\\n",
        "encoding": "utf-8",
    }
    given = ", ".join(f"{name} = {text(value)}" for name, value in options.items())
    types = ", ".join(f"{cell}: 'VARCHAR'" for cell in ("c0", *cells))
    names = ", ".join(
        f"{_cleaned(cell, dialect.separator)} AS {quoted(name)}" for cell, name in zip(cells, header.names, strict=True)
    )
    for table in ("reject_errors", "reject_scans", TABLE):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(
        f"CREATE TABLE {TABLE} AS SELECT TRY_CAST(substr(c0, 2) AS BIGINT) AS {LINE}, {names}, {_counted(cells)} AS {LINES} "
        f"FROM read_csv({text(str(copy.path))}, auto_detect = false, header = false, store_rejects = true, rejects_limit = 0, "
        f"null_padding = false, strict_mode = true, columns = {{{types}}}, {given})"
    )
    misfits, cut = rejected(connection, copy, header, dialect)
    connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN {LINES}")
    return misfits, cut


def _cleaned(cell: str, separator: str) -> str:
    """The value without the marks of `lines`."""
    regex = "".join(f"\\x{{{ord(mark):x}}}" for mark in separator)
    within = f"regexp_replace({cell}, '\n{NUMBER}[0-9]+{regex}', '\n', 'g')"
    marked = f"contains({cell}, '{NUMBER}') OR contains({cell}, '{RETURN}')"
    return f"CASE WHEN {marked} THEN replace({within}, '{RETURN}', '\r') ELSE {cell} END"


def _counted(cells: list[str]) -> str:
    """How many numbered lines a row takes."""
    each = (
        f"CASE WHEN contains({cell}, '{NUMBER}') THEN length({cell}) - length(replace({cell}, '{NUMBER}', '')) ELSE 0 END"
        for cell in cells
    )
    return " + ".join(("1", *each))


def _any_quoted(connection: duckdb.DuckDBPyConnection, header: Header) -> bool:
    """Whether any value stands in quotes, so that these are no text."""
    any_column = " OR ".join(f'regexp_full_match({quoted(name)}, \'"[^"]*"\')' for name in header.names)
    return one(connection, f"SELECT count(*) FROM {TABLE} WHERE {any_column}") > 0


def _unreadable(connection: duckdb.DuckDBPyConnection, header: Header, encoding: str) -> list[Misfit]:
    """Take out the rows with a NUL or a byte that the encoding does not have."""
    bad = " OR ".join(f"contains({quoted(name)}, chr(0)) OR contains({quoted(name)}, '{UNREADABLE}')" for name in header.names)
    cells = ", ".join(map(quoted, header.names))
    rows = connection.execute(f"SELECT {LINE}, {cells} FROM {TABLE} WHERE {bad}").fetchall()
    connection.execute(f"DELETE FROM {TABLE} WHERE {bad}")
    return [_unreadable_row(line, cells, header, encoding) for line, *cells in rows]


def _unreadable_row(line: int, cells: list[str | None], header: Header, encoding: str) -> Misfit:
    name, cell = next(
        (name, cell) for name, cell in zip(header.names, cells, strict=True) if cell and ("\0" in cell or UNREADABLE in cell)
    )
    what = "a NUL byte" if "\0" in cell else f"a byte that is not {encoding}"
    shown = ", ".join(cell or "" for cell in cells).replace("\0", "␀").replace(UNREADABLE, "\ufffd")
    return Misfit(line, f"{name} holds {what}", shown[:SHORTENED])
