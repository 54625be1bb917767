"""What has to be known of a whole table before it is read in ranges: which ids repeat, and where photos lie.

DuckDB finds out in one pass over the columns of ids. What does not fit in its memory goes to a temporary folder beside the
result. Where photos are asked for, one pass over them before says which are empty.
"""

import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.importing.sql import name, text
from catalog.ranges import OFFLINE, table_of

_MEMORY = "2GB"
_ROWS_A_GROUP = 65_536
_PHOTOS_A_BATCH = 2048


def link_rows(catalogue: Catalogue, table: str, key: str, out: Path, photos: bool = False) -> int:
    """Write a Parquet file with a row for each row of `table`, in its order: `first` and, where asked for, `photo`.

    `first` is the position of the first row with the same `key`, null where the key is missing; `photo` that of the main photo in
    images.parquet, null where there is none. As for `ImageStore`, the main photo is the one at the lowest position that is not
    empty, of several there the first.

    Returns:
        Number of rows.

    Raises:
        CatalogueError: a table or a column is absent or damaged, or `out` cannot be written.
    """
    path, empty = catalogue.path(table), None
    keyed, joined, chosen = f"SELECT file_row_number AS row, {name(key)} AS key FROM {table_of(path)}", "", "first"  # noqa: S608
    if photos and "images" in catalogue.tables():
        same = catalogue.columns("images").field("product_id").type == catalogue.columns(table).field(key).type
        empty = _empty_photos(catalogue)
        joined = f"LEFT JOIN ({_main_photos(catalogue)}) photos ON " + (
            "keyed.key = photos.key" if same else "CAST(keyed.key AS VARCHAR) = CAST(photos.key AS VARCHAR)"
        )
        chosen = "first, photo"
    firsts = "SELECT key, min(row) AS first FROM keyed WHERE key IS NOT NULL GROUP BY key"
    return _write(
        f"WITH keyed AS ({keyed}) SELECT {chosen} FROM keyed LEFT JOIN ({firsts}) firsts ON keyed.key = firsts.key {joined} "  # noqa: S608
        "ORDER BY keyed.row",
        out,
        path,
        empty,
    )


def distinct_keys(catalogue: Catalogue, table: str, key: str, out: Path) -> int:
    """Write a Parquet file with the values of `key` that `table` has, each once, in the order in which they appear.

    Returns:
        Number of values.

    Raises:
        CatalogueError: the table or the column is absent or damaged, or `out` cannot be written.
    """
    path = catalogue.path(table)
    rows = f"SELECT {name(key)} AS key, min(file_row_number) AS row FROM {table_of(path)} GROUP BY key"  # noqa: S608
    return _write(f"SELECT key AS {name(key)} FROM ({rows}) WHERE key IS NOT NULL ORDER BY row", out, path)  # noqa: S608


def _empty_photos(catalogue: Catalogue) -> pa.Table:
    """Rows of images.parquet without a byte; the photos pass through memory in batches."""
    found, start = list[int](), 0
    for batch in catalogue.batches("images", ["jpeg"], _PHOTOS_A_BATCH):
        found += [start + row for row, photo in enumerate(batch.column("jpeg").to_pylist()) if not photo]
        start += batch.num_rows
    return pa.table({"row": pa.array(found, pa.int64())})


def _main_photos(catalogue: Catalogue) -> str:
    """A query for product_id as key, and the row of its main photo as photo; the rows of the table `empty` are left out."""
    path, row = catalogue.path("images"), "min(file_row_number)"
    if "position" in catalogue.columns("images").names:
        place = "CAST(position AS DOUBLE)"
        place = f"CASE WHEN {place} IS NULL OR isnan({place}) THEN 0 ELSE {place} END"
        row = f"min(struct_pack(place := {place}, row := file_row_number)).row"
    there = "product_id IS NOT NULL AND file_row_number NOT IN (SELECT row FROM empty)"
    return f"SELECT product_id AS key, {row} AS photo FROM {table_of(path)} WHERE {there} GROUP BY product_id"  # noqa: S608


def _write(query: str, out: Path, read: Path, empty: pa.Table | None = None) -> int:
    written = f"COPY ({query}) TO {text(str(out))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_A_GROUP})"
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".linking-") as folder:
        connection = duckdb.connect(config=OFFLINE | {"memory_limit": _MEMORY, "temp_directory": folder})
        if empty is not None:
            connection.register("empty", empty)
        try:
            [(rows,)] = connection.execute(written).fetchall()
        except duckdb.Error as error:
            raise CatalogueError(f"the ids of {read} cannot be read: {str(error).splitlines()[0]}") from error
        finally:
            connection.close()
    return int(rows)


def key_type(catalogue: Catalogue, table: str, key: str) -> pa.DataType:
    """int64 or string: how ids are written.

    Raises:
        CatalogueError: the table or the column is absent, or holds neither integers nor strings.
    """
    found = catalogue.columns(table).field(key).type
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_integer(found):
        return pa.int64()
    if pa.types.is_string(found) or pa.types.is_large_string(found):
        return pa.string()
    raise CatalogueError(f"{catalogue.path(table)}: {key} is {found}; allowed: int64, string")
