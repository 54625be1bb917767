"""Whatever the Parquet files hold, there is a verdict or one line that says what is wrong with them."""

import datetime
import decimal
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.schema import TABLES
from configs.schema import ValidationConfig
from data_validation.report import write_report
from data_validation.run import validate

ROWS = 12
TEXTS = ["", "NA", " ", "a", "1", "\x00", "CafÃ©", "<b>", '{"a": 1}', "[1]", "{" * 3000, "nan", "train", "é" * 300]
VALUES: dict[pa.DataType, Callable[[random.Random], Any]] = {
    pa.int64(): lambda rng: rng.choice([0, 1, 2, 3, -1, 2**62]),
    pa.int8(): lambda rng: rng.randrange(5),
    pa.uint64(): lambda rng: rng.choice([1, 2, 2**64 - 1]),
    pa.float64(): lambda rng: rng.choice([0.0, 1.5, -1.0, float("nan"), float("inf"), -float("inf"), 1e308]),
    pa.decimal128(38, 10): lambda _: decimal.Decimal("1.10"),
    pa.bool_(): lambda rng: rng.random() < 0.5,
    pa.string(): lambda rng: rng.choice(TEXTS),
    pa.large_string(): lambda rng: rng.choice(TEXTS),
    pa.dictionary(pa.int32(), pa.string()): lambda rng: rng.choice(TEXTS),
    pa.binary(): lambda rng: rng.choice([b"", b"\xff\xd8\xff", b"abc"]),
    pa.timestamp("us", tz="UTC"): lambda rng: rng.choice([0, 10**15, -(10**15)]),
    pa.timestamp("us"): lambda rng: rng.choice([0, 10**15, 2**62]),
    pa.date32(): lambda _: datetime.date(2020, 1, 1),
    pa.null(): lambda _: None,
    pa.list_(pa.float32()): lambda rng: rng.choice([[1.0], [], [1.0, 2.0], [None]]),
    pa.list_(pa.string()): lambda _: ["a"],
    pa.struct({"a": pa.int64()}): lambda _: {"a": 1},
}
OURS = ("usable", "has_price", "twin", "repeated_key", "says_nothing", "", "Title")
"""Names that a delivery may use too."""


def column(rng: random.Random, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        kind = pa.timestamp("us", tz="UTC")
    make = VALUES.get(kind, VALUES[pa.string()])
    return pa.array([None if rng.random() < 0.2 else make(rng) for _ in range(ROWS)], type=kind)


def write_any(folder: Path, rng: random.Random) -> None:
    """Some tables: mostly columns of the right types, some of others, some absent or twice, some of our own names."""
    for table in rng.sample(list(TABLES), rng.randint(1, 3)):
        fields: list[tuple[str, pa.DataType]] = []
        for name, kind in TABLES[table].items():
            strange = rng.choice(list(VALUES)) if rng.random() < 0.1 else kind
            fields += [(name, strange)] * (rng.random() > 0.05)
        fields += [(rng.choice(OURS), rng.choice(list(VALUES)))] * (rng.random() < 0.2)
        fields += fields[-1:] * (rng.random() < 0.05)
        if fields:
            arrays = [column(rng, kind) for _, kind in fields]
            whole = pa.Table.from_arrays(arrays, names=[name for name, _ in fields])
            pq.write_table(whole.slice(0, rng.choice([ROWS, ROWS, ROWS, 1, 0])), folder / f"{table}.parquet")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(40))
def test_there_is_a_verdict_or_one_line(seed: int, tmp_path: Path) -> None:
    write_any(tmp_path, random.Random(seed))
    try:
        catalogue = Catalogue.open(tmp_path)
        outcome = validate(catalogue, ValidationConfig())
    except CatalogueError as error:
        assert "\n" not in str(error)
        return
    assert write_report(outcome, tmp_path / "report").is_file()
    assert set(outcome.result.rows) == set(catalogue.tables())
    assert not [c for c in outcome.result.checks if "could not be checked" in c.detail]
