# ruff: noqa: S608 (names and strings are quoted by table.py)
"""Puts records whose columns are met one by one into the table: JSON, XML, sheets and folders."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog.errors import CatalogueError
from catalog.importing.source import LINE, TABLE, Misfit, Progress, Source
from catalog.importing.sources.dialect import distinct
from catalog.importing.sources.encoding import misdecoded
from catalog.importing.sources.lines import SHORTENED, Seen, told
from catalog.importing.sources.table import quoted, without_empty

MOST_COLUMNS = 2000
"""Columns of a table; a file with more has values where names should be."""

_BATCH = 5000  # rows that are held before they go into the table


class Records:
    """Collects records into the table `TABLE`, some thousand at a time.

    Attributes:
        misfits: Records that did not fit.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, progress: Progress | None, doing: str) -> None:
        """Start an empty table."""
        self.misfits: list[Misfit] = []
        self._connection, self._progress, self._doing = connection, progress, doing
        self._columns: dict[str, str] = {}
        self._lines: list[int] = []
        self._rows: list[Mapping[str, str | None]] = []
        self._seen = Seen()
        self._done = 0
        connection.execute(f"CREATE TABLE {TABLE} ({LINE} BIGINT)")
        connection.execute("BEGIN")

    def declare(self, names: tuple[str, ...]) -> None:
        """Make columns in this order, whether or not they get a value."""
        for name in names:
            self._column(name)

    def add(self, line: int, row: Mapping[str, str | None]) -> None:
        """One record; a misfit where it holds what no text may."""
        whole = "\n".join(value for value in row.values() if value)
        if "\0" in whole or not _is_unicode(whole + "".join(row)):
            shown = whole.replace("\0", "␀").encode("utf-8", "replace").decode()
            self.refuse(line, "holds a NUL or half a character", shown.replace("\n", ", "))
            return
        if not whole.isascii() and (part := misdecoded(whole)) is not None:
            self._seen.misdecoded += 1
            self._seen.example = self._seen.example or (line, part)
        self._lines.append(line)
        self._rows.append(row)
        if len(self._rows) == _BATCH:
            self._write()

    def refuse(self, line: int, reason: str, text: str = "") -> None:
        """A record that does not fit."""
        self.misfits.append(Misfit(line, reason, text[:SHORTENED]))

    def source(self, path: Path, notes: list[str], unnamed: tuple[str, ...] = ()) -> Source:
        """The table, complete."""
        self._write()
        self._connection.execute("COMMIT")
        if not self._columns:
            raise CatalogueError(f"no record can be read; the first: {self._first()}" if self.misfits else "holds no records")
        columns, rows, dropped = without_empty(self._connection, list(self._columns.values()), unnamed)
        return Source(path, columns, rows, tuple(self.misfits), (*notes, *dropped, *told(self._seen)), self._connection)

    def _first(self) -> str:
        return f"line {self.misfits[0].line} {self.misfits[0].reason}"

    def _column(self, name: str) -> str:
        if name not in self._columns:
            if len(self._columns) == MOST_COLUMNS:
                raise CatalogueError(f"has more than {MOST_COLUMNS} columns; names such as {name!r} may be values")
            own = distinct(" ".join(name.split()) or "column", [LINE, *self._columns.values()])
            self._columns[name] = own
            self._connection.execute(f"ALTER TABLE {TABLE} ADD COLUMN {quoted(own)} VARCHAR")
        return self._columns[name]

    def _write(self) -> None:
        if not self._rows:
            return
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        cells = [pa.array([row.get(name) or None for row in self._rows], pa.string()) for name in names]
        batch = pa.table([pa.array(self._lines, pa.int64()), *cells], names=[LINE, *map(self._column, names)])
        self._connection.register("batch", batch)
        self._connection.execute(f"INSERT INTO {TABLE} BY NAME SELECT * FROM batch")
        self._connection.unregister("batch")
        self._done += len(self._rows)
        self._lines, self._rows = [], []
        if self._progress is not None:
            self._progress(self._doing, self._done, None)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
