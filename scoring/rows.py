"""The rows of a shard as the catalogue has them, read by their position."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from catalog.catalogue import LISTING_COLUMNS, Catalogue, records_of
from catalog.links import key_type
from catalog.ranges import Ranges
from catalog.schema import TABLES
from models.family import Scorer
from scoring.plan import ROWS, Plan, names_rows

MISSING, REPEATED = "the id is missing", "the id is that of row {first}"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        number: Its position.
        key: Its id; None where it is missing.
        record: What the table says, by column.
        photo: Its main photo, encoded.
        fault: Why it cannot be answered, whatever it says.
    """

    number: int
    key: int | str | None
    record: dict[str, Any]
    photo: bytes | None = None
    fault: str | None = None


class Reader:
    """Reads what a plan asks for from the catalogue that a process sees."""

    def __init__(self, plan: Plan, catalogue: Catalogue) -> None:
        self.plan, self.catalogue, self.ranges = plan, catalogue, Ranges()
        self.scorer: Scorer = plan.scorer
        self.key_type: pa.DataType = key_type(catalogue, self.scorer.table, self.scorer.key)
        self.links = pa.parquet.read_schema(plan.out / ROWS).names

    def read(self, start: int, stop: int) -> list[Row]:
        """The rows `start` … `stop` - 1.

        Raises:
            CatalogueError: a file is gone or damaged, or a column holds values of another type.
        """
        links = self.ranges.between(self.plan.out / ROWS, self.links, start, stop)
        table, key = self.scorer.table, self.scorer.key
        if not names_rows(self.scorer):
            records = records_of(self.catalogue.typed(table, links))
            return [Row(number, record[key], record) for number, record in enumerate(records, start)]
        there = self.catalogue.columns(table).names
        wanted = LISTING_COLUMNS if table == "products" else TABLES[table]
        columns = [key, *(name for name in wanted if name in there and name != key)]
        records = records_of(self.catalogue.typed(table, self.ranges.between(self.catalogue.path(table), columns, start, stop)))
        firsts, photos = links.column("first").to_pylist(), self._photos(links)
        return [self._row(*found) for found in zip(range(start, stop), records, photos, firsts, strict=True)]

    def _photos(self, links: pa.Table) -> list[bytes | None]:
        """Main photo of each row; None where there is none."""
        if "photo" not in links.column_names:
            return [None] * links.num_rows
        places = links.column("photo").to_pandas()
        known = places.notna().to_numpy()
        found = iter(self.ranges.at(self.catalogue.path("images"), "jpeg", places[known].to_numpy(dtype=np.int64)))
        return [next(found) or None if there else None for there in known]

    def _row(self, number: int, record: dict[str, Any], photo: bytes | None, first: int | None) -> Row:
        key = record[self.scorer.key]
        if pd.isna(key):
            return Row(number, None, record, fault=MISSING)
        return Row(number, key, record, photo, None if first == number else REPEATED.format(first=first))
