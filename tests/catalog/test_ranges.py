"""A range of rows is what a slice of the whole table is, whatever its row groups."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.catalogue import LISTING_COLUMNS, Catalogue, listing_of, records_of
from catalog.errors import CatalogueError
from catalog.ranges import Ranges

ROWS = 300


@pytest.fixture(params=[7, 64, ROWS])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    words = [f"'{i}' \"ü\"" if i % 3 else None for i in range(ROWS)]
    table = pa.table({"id": list(range(ROWS)), "a word": words, "blob": [bytes([i % 256]) * (i % 50) for i in range(ROWS)]})
    pq.write_table(table, tmp_path / "it's.parquet", row_group_size=request.param)
    return tmp_path / "it's.parquet"


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, ROWS), (6, 8), (63, 130), (299, 300), (290, 400), (300, 310)])
def test_rows_between(path: Path, start: int, stop: int) -> None:
    found = Ranges().between(path, ["a word", "id"], start, stop)
    assert found.to_pydict() == pq.read_table(path, columns=["a word", "id"]).slice(start, stop - start).to_pydict()


@pytest.mark.parametrize("rows", [[], [0], [299, 0, 150], list(range(100, 40, -1)), [5, 5, 6]])
def test_values_at_rows_in_any_order(path: Path, rows: list[int]) -> None:
    assert Ranges().at(path, "blob", np.array(rows, dtype=np.int64)) == [bytes([i % 256]) * (i % 50) for i in rows]


def test_a_file_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"^.*none.parquet cannot be read: [^\n]*$"):
        Ranges().between(tmp_path / "none.parquet", ["id"], 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["sample", "myntra"])
def test_listings_of_ranges_are_those_of_the_whole_table(source: str, sample: Path, request: pytest.FixtureRequest) -> None:
    catalogue = Catalogue.open(sample if source == "sample" else request.getfixturevalue("real_data") / "myntra")
    whole = records_of(catalogue.products())[100:400]
    ranges, path = Ranges(), catalogue.path("products")
    there = [name for name in LISTING_COLUMNS if name in catalogue.columns("products").names]
    parts = [catalogue.typed("products", ranges.between(path, there, start, start + 100)) for start in (100, 200, 300)]
    assert [listing_of(row, None) for row in records_of(pd.concat(parts))] == [listing_of(row, None) for row in whole]
