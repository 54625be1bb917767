"""`vitrina data validate` on 300 and on 1,000,000 products, as whole processes; the latter against Great Expectations alone.

The peer states the same about the delivered columns (ids given and unique, prices within bounds, columns given), without what
validation looks at beside them: texts without markup, attributes, spellings, twins, hierarchies, times.

python -m benchmarks.validation_speed [--products N]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.machine import in_a_process, write
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS

VITRINA = [sys.executable, "-m", "cli", "data", "validate"]
SMALL, LARGE = 300, 1_000_000
WORDS = 34
"""Of a description: with title, labels and attributes a row has some 300 bytes of text."""


def products(rows: int, seed: int = 0) -> pd.DataFrame:
    """Made-up products: a tenth without description, a fiftieth without price, some labels in capitals, some twins."""
    rng = np.random.default_rng(seed)
    words = pa.array([f"word{number}" for number in range(5000)])
    kind, brand = rng.integers(0, 140, rows), rng.integers(0, 400, rows)
    frame = pd.DataFrame({"product_id": np.arange(rows)})
    number = pd.Series(np.arange(rows) % max(rows * 19 // 20, 1)).astype(str)
    frame["title"] = "Brand " + pd.Series(brand).astype(str) + " type " + pd.Series(kind).astype(str) + " " + number
    chosen = [words.take(pa.array(rng.integers(0, len(words), rows))) for _ in range(WORDS)]
    frame["description"] = pc.binary_join_element_wise("<p>", *chosen, "</p>", " ").to_pandas()
    frame.loc[rng.random(rows) < 0.1, "description"] = None
    frame["brand"] = [f"Brand {b}" if shown else f"BRAND {b}" for b, shown in zip(brand, rng.random(rows) < 0.99, strict=True)]
    frame["article_type"], frame["sub_category"] = [f"Type {k}" for k in kind], [f"Part {k % 45}" for k in kind]
    frame["master_category"] = [f"Master {k % 45 % 7}" for k in kind]
    for column, values in (
        ("gender", ["Men", "Women"]),
        ("base_colour", ["Blue", "Red", "Black"]),
        ("season", ["Summer", "Winter"]),
    ):
        frame[column] = rng.choice(values, rows)
    frame["usage"], frame["age_group"], frame["year"] = "Casual", "Adults", 2023
    frame["price"] = np.round(rng.lognormal(6, 1, rows), 2) * (rng.random(rows) > 0.02)
    frame["discounted_price"] = frame["price"] * 0.9
    frame["attributes"] = [json.dumps({"Fabric": "Cotton", "Fit": str(k)}) for k in kind]
    frame["listed_at"] = pd.Timestamp("2023-03-01", tz="UTC") + pd.to_timedelta(np.arange(rows), unit="s")
    return frame


def validated(folder: Path) -> dict[str, Any]:
    """Wall and processor seconds, peak memory and findings of the command."""
    with tempfile.TemporaryDirectory() as home, (Path(home) / "found.json").open("w+", encoding="utf-8") as found:
        start = time.perf_counter()
        environment = os.environ | {"VITRINA_HOME": home}
        process = subprocess.Popen([*VITRINA, str(folder), "--json"], stdout=found, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            raise SystemExit(f"validation of {folder} ended with {os.waitstatus_to_exitcode(status)}")
        found.seek(0)
        checks = json.load(found)["checks"]
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024),
        "checks": len(checks),
        "found": {c["rule"]: c["failed_rows"] for c in checks if not c["passed"]},
    }


def great_expectations_alone(folder: Path) -> dict[str, Any]:
    """Seconds of a suite over the delivered columns; runs in a process of its own."""
    start, used = time.perf_counter(), time.process_time()
    import great_expectations as gx
    from great_expectations import expectations as gxe

    frame = pd.read_parquet(folder / "products.parquet")
    given = ["product_id", "title", "description", "price", "year", *CATEGORY_LEVELS, *CATEGORICAL_FIELDS]
    bounds: list[Any] = [
        gxe.ExpectColumnValuesToBeUnique(column="product_id"),
        gxe.ExpectColumnValuesToBeBetween(column="price", min_value=0, strict_min=True),
        gxe.ExpectColumnValuesToBeBetween(column="price", max_value=1e7),
        gxe.ExpectColumnValuesToBeBetween(column="discounted_price", min_value=0, strict_min=True),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="price", column_B="discounted_price", or_equal=True),
    ]
    suite = gx.ExpectationSuite("products", expectations=[*(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in given), *bounds])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("catalogue").add_dataframe_asset("table")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch(batch_parameters={"dataframe": frame})
    outcome: Any = batch.validate(suite, result_format="COMPLETE")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(time.process_time() - used, 1),
        "expectations": len(outcome.results),
        "broken": sum(not result.success for result in outcome.results),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--products", type=int, default=LARGE)
    parser.add_argument("--alone", type=Path, help="internal: the peer on this folder")
    chosen = parser.parse_args()
    if chosen.alone:
        print(json.dumps(great_expectations_alone(chosen.alone)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folders = {rows: Path(temporary) / str(rows) for rows in (SMALL, chosen.products)}
        for rows, folder in folders.items():
            folder.mkdir()
            products(rows).to_parquet(folder / "products.parquet", index=False)
        validated(folders[SMALL])
        load = os.getloadavg()[0]
        small = [validated(folders[SMALL]) for _ in range(2)]
        large = validated(folders[chosen.products])
        peer = in_a_process("benchmarks.validation_speed", "--alone", str(folders[chosen.products]))
    result = {
        "claim": "300 products in under 5 s and 500 MB, 1,000,000 in under 3 minutes on 2 cores",
        "load_average_before": round(load, 1),
        "300 products": min(small, key=lambda run: run["seconds"]) | {"all_seconds": [run["seconds"] for run in small]},
        f"{chosen.products:,} products": large,
        f"great expectations alone, {chosen.products:,} products": peer,
    }
    print(json.dumps(result, indent=2))
    print(write("validation_speed", result))


if __name__ == "__main__":
    main()
