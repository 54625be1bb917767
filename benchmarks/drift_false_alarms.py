"""How often does monitoring cry wolf, and how often does it miss the wolf?

Reference and window are drawn without overlap from one pool of real listings (Myntra: VITRINA_TEST_DATA, default
../shared/data), so that every alarm is false; then the same with a real shift. The peer in the same run is Evidently's
DataDriftPreset as it comes, on the same single columns; it has no test for the embedding, and its text test is left out,
which is to its advantage. Its own verdict on a data set is "half of the columns drifted"; people alarm on any column.

    OMP_NUM_THREADS=1 python -m benchmarks.drift_false_alarms [--repetitions 200]
"""

import argparse
import json
import logging
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer

from benchmarks.machine import write
from configs.schema import DriftConfig
from monitoring.drift import judge
from monitoring.verdict import ReferenceSpec

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPEC = ReferenceSpec(
    numerical=("title_length", "description_length", "attribute_count", "price", "confidence"),
    categorical=("brand", "gender", "base_colour", "season", "usage", "article_type"),
    text=("title",),
    embedding="embedding",
)
REFERENCE_ROWS = 2000
WINDOWS = (200, 500, 2000)
Shift = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def pool() -> pd.DataFrame:
    """Summary rows as serving logs them; the embedding is a 64-d projection of the listing's words."""
    products = pd.read_parquet(DATA / "myntra" / "products.parquet")
    words = HashingVectorizer(n_features=2**14, norm="l2").transform(products["title"] + " " + products["article_type"])
    embedding = TruncatedSVD(64, random_state=0).fit_transform(words).astype(np.float32)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "title": products["title"].str.casefold(),
            "title_length": products["title"].str.len(),
            "description_length": products["description"].str.len().fillna(0),
            "attribute_count": products["attributes"].map(
                lambda a: sum(v not in (None, "", "NA") for v in json.loads(a).values())
            ),
            "price": products["price"].where(products["price"] > 0),
            "confidence": rng.beta(8, 1, len(products)),
            **{c: products[c].replace({"": None, "NA": None}) for c in SPEC.categorical},
            "embedding": list(embedding),
        }
    )
    return rows.sample(frac=1.0, random_state=0, ignore_index=True)


def price_up(window: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """Prices rise by 30 %."""
    return window.assign(price=window["price"] * 1.3)


def watches_tripled(window: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One article type, 6 % of the pool, comes three times as often: whole rows are copied over others."""
    watches = np.flatnonzero(window["article_type"] == "Watches")
    others = np.flatnonzero(window["article_type"] != "Watches")
    count = min(2 * len(watches), len(others))
    changed = window.copy()
    changed.iloc[rng.choice(others, count, replace=False)] = window.iloc[rng.choice(watches, count)].to_numpy()
    return changed


SHIFTS: tuple[Shift, ...] = (price_up, watches_tripled)


def unchanged(window: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """No drift."""
    return window


def peer_columns(reference: pd.DataFrame, current: pd.DataFrame) -> set[str]:
    """Columns that Evidently's defaults call drifted: the tests and thresholds of DataDriftPreset, without its plots."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    columns = [*SPEC.numerical, *SPEC.categorical]
    definition = DataDefinition(numerical_columns=list(SPEC.numerical), categorical_columns=list(SPEC.categorical))
    frames = (Dataset.from_pandas(frame[columns].reset_index(drop=True), definition) for frame in (current, reference))
    found = Report([ValueDrift(column=column) for column in columns], include_tests=True).run(*frames).dict()["tests"]
    return {test["metric_config"]["params"]["column"] for test in found if test["status"].value == "FAIL"}


def preset_count(reference: pd.DataFrame, current: pd.DataFrame) -> int:
    """How many columns DataDriftPreset calls drifted."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [*SPEC.numerical, *SPEC.categorical]
    definition = DataDefinition(numerical_columns=list(SPEC.numerical), categorical_columns=list(SPEC.categorical))
    frames = (Dataset.from_pandas(frame[columns].reset_index(drop=True), definition) for frame in (current, reference))
    metrics = Report([DataDriftPreset()]).run(*frames).dict()["metrics"]
    return int(next(m["value"]["count"] for m in metrics if m["config"]["type"].endswith("DriftedColumnsCount")))


def measure(rows: pd.DataFrame, window: int, reference_rows: int, shift: Shift, repetitions: int) -> dict[str, Any]:
    """Alarm rates over `repetitions` draws."""
    alarms: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    peer: Counter[str] = Counter()
    compared = len(SPEC.numerical) + len(SPEC.categorical)
    for repetition in range(repetitions):
        rng = np.random.default_rng([repetition, window, reference_rows])
        drawn = rows.iloc[rng.choice(len(rows), reference_rows + window, replace=False)]
        reference, current = drawn.iloc[:reference_rows], shift(drawn.iloc[reference_rows:].reset_index(drop=True), rng)
        verdict, found = judge(reference, current, SPEC, DriftConfig()), peer_columns(reference, current)
        if repetition == 0:
            assert preset_count(reference, current) == len(found), "the peer must decide as DataDriftPreset does"
        alarms.update({"vitrina": verdict.drifted, "any": bool(found), "half": len(found) >= compared / 2})
        ours.update(f"{column.column} ({column.kind})" for column in verdict.columns if column.drifted)
        peer.update(found)
    return {
        "window": window,
        "reference": reference_rows,
        "shift": (shift.__doc__ or "").strip(),
        "repetitions": repetitions,
        "vitrina": rate(alarms["vitrina"], repetitions),
        "peer_any_column": rate(alarms["any"], repetitions),
        "peer_half_of_columns": rate(alarms["half"], repetitions),
        "vitrina_columns": dict(ours.most_common()),
        "peer_columns": dict(peer.most_common()),
    }


def rate(count: int, of: int) -> dict[str, float]:
    """Share of alarms with its 95 % Clopper-Pearson interval."""
    low = float(beta.ppf(0.025, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, of - count)) if count < of else 1.0
    return {"rate": count / of, "low": round(low, 4), "high": round(high, 4)}


def main() -> None:
    """Run everything and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    options = parser.parse_args()
    if not (DATA / "myntra").is_dir():
        parser.error(f"no Myntra catalogue in {DATA}; set VITRINA_TEST_DATA")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from evidently.metrics.column_statistics import ValueDriftCalculation

    ValueDriftCalculation._render = lambda *_: []  # plots take most of the time and change no verdict
    rows, results, start = pool(), [], time.perf_counter()
    plan: list[tuple[int, int, Shift, int]] = [
        *((window, REFERENCE_ROWS, unchanged, options.repetitions) for window in WINDOWS),
        (500, 800, unchanged, max(options.repetitions // 2, 1)),  # where Evidently's defaults are tests, not distances
        *((window, REFERENCE_ROWS, shift, max(options.repetitions // 10, 1)) for shift in SHIFTS for window in WINDOWS),
    ]
    for window, reference_rows, shift, repetitions in plan:
        result = measure(rows, window, reference_rows, shift, repetitions)
        results.append(result)
        print(
            f"{result['shift'][:40]:40} window {window:5} reference {reference_rows}: vitrina {result['vitrina']['rate']:.3f}, "
            f"peer any column {result['peer_any_column']['rate']:.3f}, half {result['peer_half_of_columns']['rate']:.3f}",
            flush=True,
        )
    path = write(
        "drift_false_alarms",
        {
            "benchmark": (__doc__ or "").splitlines()[0],
            "config": DriftConfig().model_dump(),
            "seconds": round(time.perf_counter() - start),
            "results": results,
        },
    )
    print(path)


if __name__ == "__main__":
    main()
