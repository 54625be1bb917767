# ruff: noqa: S608 (names and strings are quoted here)
"""The DuckDB table that a source's rows are put into."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from catalog.importing.source import TABLE

_MEMORY = "512MB"  # of DuckDB: what does not fit goes to disk; a million rows of 300 bytes take no longer with it
_THREADS = 4  # each holds a piece of the file


@contextmanager
def workspace() -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    """A temporary folder, and a database in it that writes what does not fit in memory there; both gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vitrina-import-", ignore_cleanup_errors=True) as folder:
        connection = duckdb.connect(
            Path(folder, "source.duckdb"),
            config={
                "memory_limit": _MEMORY,
                "temp_directory": folder,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            threads = one(connection, "SELECT current_setting('threads')")
            connection.execute(f"SET threads = {min(_THREADS, threads)}")
            yield Path(folder), connection
        finally:
            connection.close()


def quoted(name: str) -> str:
    """A name as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string as SQL wants it."""
    return "'" + value.replace("'", "''") + "'"


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The single whole number that `sql` asks for."""
    ((value,),) = connection.execute(sql).fetchall()
    return int(value or 0)


def without_empty(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], unnamed: Sequence[str]
) -> tuple[tuple[str, ...], int, list[str]]:
    """Drop rows without any value, and columns without name and value; the columns and rows that stay, and what must be told."""
    notes: list[str] = []
    nothing = " AND ".join(f"{quoted(name)} IS NULL" for name in columns)
    if blank := one(connection, f"SELECT count(*) FROM {TABLE} WHERE {nothing}"):
        connection.execute(f"DELETE FROM {TABLE} WHERE {nothing}")
        notes.append(f"{blank} row{'s' * (blank > 1)} without any value left out")
    for name in unnamed:
        if len(columns) > 1 and not one(connection, f"SELECT count({quoted(name)}) FROM {TABLE}"):
            connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN {quoted(name)}")
            columns = [other for other in columns if other != name]
            notes.append(f"{name} has neither a name nor a value, and is left out")
        else:
            notes.append(f"{name} has no name in the header; it is called so")
    return tuple(columns), one(connection, f"SELECT count(*) FROM {TABLE}"), notes
