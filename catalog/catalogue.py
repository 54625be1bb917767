"""Reading a catalogue directory: Parquet tables of a known form, and the photos beside them."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from catalog.errors import CatalogueError
from catalog.images import DecodedPhoto, ImageStore
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.schema import REQUIRED, TABLES, is_key
from catalog.vectors import Vectors, faults, holds_vectors, matrix

_MISSING = ("", "NA")


@dataclass(frozen=True)
class Catalogue:
    """Directories that together hold each known table at most once; files are read when asked for.

    Attributes:
        root: The directory, or the first of them.
        more: Further directories.
        withheld: Positions of the rows that are not read, by table.
    """

    root: Path
    more: tuple[Path, ...] = ()
    withheld: Mapping[str, frozenset[int]] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, root: Path, *more: Path) -> "Catalogue":
        """Check that `root` is a catalogue directory, and that `more` are others whose tables it lacks.

        Raises:
            CatalogueError: not a directory, no known table in it, a table that is no Parquet file, lacks a required column,
                has a column twice or is in two of the directories.
        """
        allowed = ", ".join(f"{table}.parquet" for table in TABLES)
        for folder in (root, *more):
            if not folder.is_dir():
                raise CatalogueError(f"{folder} is not a directory; a catalogue is a directory with products.parquet")
            if not any(_file(folder, table).is_file() for table in TABLES):
                raise CatalogueError(f"{folder} holds no catalogue table; known: {allowed}")
        catalogue = cls(root, more)
        for table in catalogue.tables():
            found = [str(folder) for folder in catalogue.folders if _file(folder, table).is_file()]
            if len(found) > 1:
                raise CatalogueError(f"{table}.parquet is in {' and in '.join(found)}; each table may come from one folder only")
            catalogue.columns(table)
        return catalogue

    @property
    def folders(self) -> tuple[Path, ...]:
        """All directories, in the order in which they were given."""
        return (self.root, *self.more)

    def require(self, tables: Sequence[str]) -> None:
        """Check that `tables` are present.

        Raises:
            CatalogueError: names the first that is absent, and those that are there.
        """
        for table in tables:
            self.columns(table)

    def without(self, quarantine: pd.DataFrame) -> "Catalogue":
        """The same tables, read without the rows in quarantine: columns table and row (position in the file)."""
        rows = quarantine.groupby("table")["row"]
        return replace(self, withheld={str(table): frozenset(found.astype(int)) for table, found in rows})

    def path(self, table: str) -> Path:
        """File of a table, in the directory that has it; in the first where none has.

        Raises:
            CatalogueError: no table of that name is known.
        """
        if table not in TABLES:
            raise CatalogueError(f"table {table!r} is not known; allowed: {', '.join(TABLES)}")
        files = [_file(folder, table) for folder in self.folders]
        return next((file for file in files if file.is_file()), files[0])

    def tables(self) -> list[str]:
        """Known tables that are present."""
        return [table for table in TABLES if self.path(table).is_file()]

    def columns(self, table: str) -> pa.Schema:
        """Column names and types of a table, from the file's footer.

        Raises:
            CatalogueError: the table is absent, no Parquet file, lacks a required column or has a column twice.
        """
        path = self.path(table)
        if not path.is_file():
            known = ", ".join(self.tables()) or "no known table"
            raise CatalogueError(f"{', '.join(map(str, self.folders))} has no {path.name}; it has: {known}")
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise CatalogueError(f"{path} is not a readable Parquet file: {_first_line(error)}") from error
        lacking = [column for column in REQUIRED[table] if column not in schema.names]
        if lacking:
            raise CatalogueError(f"{path} lacks column {', '.join(lacking)}; it has: {', '.join(schema.names)}")
        if twice := sorted({column for column in schema.names if schema.names.count(column) > 1}):
            raise CatalogueError(f"{path} has column {', '.join(twice)} more than once")
        return schema

    def rows(self, table: str) -> int:
        """Number of rows, from the file's footer."""
        self.columns(table)
        return int(pq.read_metadata(self.path(table)).num_rows) - len(self.withheld.get(table, ()))

    def read(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The table as it was delivered.

        Raises:
            CatalogueError: the table or a column is absent, or the file is corrupt.
        """
        frame: pd.DataFrame = self._arrow(table, columns).to_pandas()
        return frame

    def batches(self, table: str, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Every row as it was delivered, those that are withheld too, at most `rows` at a time.

        Raises:
            CatalogueError: the table or a column is absent, or the file is corrupt.
        """
        self._check_columns(table, columns)
        try:
            with pq.ParquetFile(self.path(table)) as file:
                yield from file.iter_batches(rows, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise CatalogueError(f"{self.path(table)} is corrupt: {_first_line(error)}") from error

    def typed(self, table: str, found: pa.Table) -> pd.DataFrame:
        """Rows of a table as `products` and its like give them; of the known columns, those that `found` has.

        Raises:
            CatalogueError: a column whose values are of another type.
        """
        columns = {name: self._column(found, table, name) for name in TABLES[table] if name in found.column_names}
        return pd.DataFrame(columns, columns=list(columns))

    def keys(self, table: str, column: str) -> "pd.Series[Any]":
        """One column of ids: int64 or string (Int64 where some are missing).

        Raises:
            CatalogueError: the table or the column is absent, or holds neither integers nor strings.
        """
        return self._column(self._arrow(table, [column]), table, column)

    def products(self) -> pd.DataFrame:
        """Every column of `PRODUCT_COLUMNS` in order, absent ones as missing; texts are raw.

        product_id is int64 or string (Int64 where some are missing), year is Int64, listed_at is UTC.

        Raises:
            CatalogueError: no products table, or a column whose values are of another type.
        """
        return self._typed("products")

    def reviews(self) -> pd.DataFrame:
        """Every column of `TABLES["reviews"]` in order, absent ones as missing; title and review are raw, either may be missing.

        review_id is int64 or string (Int64 where some are missing), rating and recommended are Int64.

        Raises:
            CatalogueError: no reviews table, or a column whose values are of another type.
        """
        return self._typed("reviews")

    def purchases(self) -> pd.DataFrame:
        """user_id, item_id, position and timestamp; an order that is not there is missing in every row.

        Ids are int64 or string (Int64 where some are missing), position is Int64, timestamp is UTC.

        Raises:
            CatalogueError: no purchases table, or a column whose values are of another type.
        """
        return self._typed("purchases")

    def events(self) -> pd.DataFrame:
        """user_id, item_id, kind (of `EVENT_KINDS`) and timestamp (UTC); ids are int64 or string (Int64 where some are missing).

        Raises:
            CatalogueError: no events table, or a column whose values are of another type.
        """
        return self._typed("events")

    def embeddings(self) -> tuple["pd.Series[Any]", NDArray[np.float32]]:
        """product_id [n] and its vector, float32 [n, d], in the order of the file; ids may repeat.

        product_id is int64 or string (Int64 where some are missing). Without rows the vectors are [0, 0].

        Raises:
            CatalogueError: no embeddings table, a column of another type, or a vector that is missing, empty, of another length
                than most or not finite; names the product of the first.
        """
        found = self._arrow("embeddings", REQUIRED["embeddings"])
        ids, column = self._column(found, "embeddings", "product_id"), found.column("embedding")
        if not holds_vectors(column.type):
            raise CatalogueError(f"{self.path('embeddings')}: embedding is {column.type}; allowed: a list of numbers")
        pieces = [Vectors.of(chunk) for chunk in column.chunks or [pa.array([], column.type)]]
        wrong = faults(pieces)
        if (first := wrong.first_valid_index()) is not None:
            raise CatalogueError(f"{self.path('embeddings')}: the embedding of product {ids[first]} {wrong[first]}")
        return ids, matrix(pieces)

    def fingerprint(self) -> str:
        """SHA-256 (hex) over names and contents of the known tables."""
        digest = hashlib.sha256()
        for table in self.tables():
            path = self.path(table)
            stat = path.stat()
            digest.update(f"{table}:{_file_digest(path, stat.st_size, stat.st_mtime_ns)}\n".encode())
        return digest.hexdigest()

    def left_out(self) -> str:
        """SHA-256 (hex) over the rows that are withheld; '' where none are."""
        rows = sorted((table, sorted(found)) for table, found in self.withheld.items() if found)
        return hashlib.sha256(repr(rows).encode()).hexdigest() if rows else ""

    @cached_property
    def images(self) -> ImageStore:
        """The photos; nothing is opened before the first is asked for."""
        return ImageStore(self.path("images"), self.withheld.get("images", frozenset()))

    def _arrow(self, table: str, columns: Sequence[str] | None) -> pa.Table:
        self._check_columns(table, columns or ())
        path = self.path(table)
        try:
            found = pq.read_table(path, columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise CatalogueError(f"{path} is corrupt: {_first_line(error)}") from error
        withheld = self.withheld.get(table)
        return found.take([i for i in range(found.num_rows) if i not in withheld]) if withheld else found

    def _check_columns(self, table: str, columns: Sequence[str]) -> None:
        schema = self.columns(table)
        if unknown := [column for column in columns if column not in schema.names]:
            raise CatalogueError(f"{self.path(table)} has no column {', '.join(unknown)}; it has: {', '.join(schema.names)}")

    def _typed(self, table: str) -> pd.DataFrame:
        found = self._arrow(table, None)
        columns = {name: self._column(found, table, name) for name in TABLES[table]}
        return pd.DataFrame(columns, columns=list(TABLES[table]))

    def _column(self, table: pa.Table, of: str, name: str) -> "pd.Series[Any]":
        wanted = TABLES[of][name]
        values = table.column(name) if name in table.column_names else pa.nulls(table.num_rows, wanted)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks() if values.num_chunks else pa.array([], values.type)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if is_key(name):
            wanted = pa.int64() if pa.types.is_integer(values.type) else pa.string()
        if is_key(name) and not (pa.types.is_integer(values.type) or _is_string(values.type)):
            raise CatalogueError(f"{self.path(of)}: {name} is {values.type}; allowed: int64, string")
        if pa.types.is_timestamp(wanted) and pa.types.is_integer(values.type):  # which a cast takes for nanoseconds
            raise CatalogueError(
                f"{self.path(of)}: {name} is {values.type}, which does not say what it counts; allowed: timestamp "
                "(`vitrina data import` makes one of numbers, with date_format unix or unix_ms)"
            )
        try:
            values = values.cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            message = f"{self.path(of)}: {name} is {values.type} and does not read as {wanted}: {_first_line(error)}"
            raise CatalogueError(message) from error
        if pa.types.is_integer(wanted) and (values.null_count or not is_key(name)):
            return pd.Series(values.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get))
        return pd.Series(values.to_pandas())


LISTING_COLUMNS = ("title", "description", "price", "attributes", *CATEGORY_LEVELS, *CATEGORICAL_FIELDS)
"""Columns of products that `listing_of` reads."""


def records_of(products: pd.DataFrame) -> list[dict[str, Any]]:
    """Products rows as mappings."""
    return [{str(column): value for column, value in row.items()} for row in products.to_dict("records")]


def listing_of(row: Mapping[str, Any], image: bytes | DecodedPhoto | None) -> Listing:
    """A products row as a model reads it; '', 'NA' and null are missing, and so is a price that is not positive.

    Raises:
        CatalogueError: the attributes are not a JSON object, or nested too deeply.
    """
    price = row.get("price")
    return Listing(
        title=_text(row.get("title")),
        description=_text(row.get("description")),
        price=float(price) if price is not None and not pd.isna(price) and 0 < float(price) < float("inf") else None,
        image=image or None,
        categories=_known(row, CATEGORY_LEVELS),
        fields=_known(row, CATEGORICAL_FIELDS),
        attributes=parse_attributes(row.get("attributes")),
    )


def said(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column of texts with None where it says nothing, as `listing_of` reads it."""
    return column.astype(object).map(_text).astype(object)


def parse_attributes(value: Any) -> dict[str, str]:
    """The attributes column: a JSON object to names and values, without those that say nothing.

    Raises:
        CatalogueError: not a JSON object, or one that is nested too deeply.
    """
    text = _text(value)
    if text is None:
        return {}
    try:
        parsed = json.loads(text)
        known = {str(name): _text(value) for name, value in parsed.items()} if isinstance(parsed, dict) else None
    except RecursionError as error:
        raise CatalogueError(f"attributes {text[:60]!r} is nested too deeply; allowed: an object of names and values") from error
    except ValueError as error:
        raise CatalogueError(f"attributes {text[:60]!r} is not JSON: {error}") from error
    if known is None:
        raise CatalogueError(f"attributes {text[:60]!r} is a JSON {type(parsed).__name__}; allowed: an object")
    return {name: text for name, text in known.items() if text is not None}


def _file(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"


def _known(row: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    values = ((column, _text(row.get(column))) for column in columns)
    return {column: text for column, text in values if text is not None}


def _text(value: Any) -> str | None:
    """None where the value says nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    text = str(value)
    return None if text.strip() in _MISSING else text


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """SHA-256 of a file's content; size and time are part of the key, so that a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
