"""Rows of a Parquet table by their position: what lies before them is skipped, not decoded.

DuckDB reads them in one thread. A worker holds the rows that it asked for, and a page of each column.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.errors import CatalogueError
from catalog.importing.sql import name, text

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
"""DuckDB fetches nothing."""


class Ranges:
    """Several tables, read by one connection; not for several threads, and it is opened anew in each process."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config=OFFLINE | {"threads": 1})

    def between(self, path: Path, columns: Sequence[str], start: int, stop: int) -> pa.Table:
        """`columns` of the rows `start` … `stop` - 1, in order.

        Raises:
            CatalogueError: the file is gone or damaged.
        """
        wanted = f"file_row_number BETWEEN {start} AND {stop - 1} ORDER BY file_row_number"
        return self._read(path, f"SELECT {', '.join(map(name, columns))} FROM {table_of(path)} WHERE {wanted}")  # noqa: S608

    def at(self, path: Path, column: str, rows: NDArray[np.int64]) -> list[bytes | None]:
        """Values of a column at `rows`, which may come in any order; fast where they lie close to each other.

        Raises:
            CatalogueError: the file is gone or damaged.
        """
        if not len(rows):
            return []
        low, high = int(rows.min()), int(rows.max())
        self._connection.register("wanted", pa.table({"row": np.unique(rows)}))
        found = self._read(
            path,
            f"SELECT file_row_number AS row, {name(column)} AS value FROM {table_of(path)} "  # noqa: S608
            f"JOIN wanted ON file_row_number = wanted.row WHERE file_row_number BETWEEN {low} AND {high}",
        )
        values = dict(zip(found.column("row").to_pylist(), found.column("value").to_pylist(), strict=True))
        return [values[row] for row in rows.tolist()]

    def _read(self, path: Path, sql: str) -> pa.Table:
        try:
            return self._connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise CatalogueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def table_of(path: Path) -> str:
    """The file as DuckDB reads it, with the position of each row."""
    return f"read_parquet({text(str(path))}, file_row_number = true)"
