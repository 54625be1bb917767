"""Listings may be sent with their categories or without, and quality and price read them: which way is no drift."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import DriftConfig
from configs.settings import Settings
from database.predictions import PredictionRow, insert_predictions
from models.recommender.summary import REFERENCE_SPEC as RECOMMENDER_SPEC
from monitoring.drift import judge
from monitoring.matching import Matched, match
from monitoring.run import MonitorOutcome, monitor
from monitoring.verdict import DriftVerdict, ReferenceSpec
from monitoring.window import ReferenceError, read_reference, read_window

SPEC = ReferenceSpec(
    numerical=("price", "quality", "predicted_price"),
    categorical=("brand",),
    prediction=("predicted_article_type",),
    match=("categories_told",),
    example="product_id",
)
CONFIG = DriftConfig()
TYPES = np.array(["Shirts", "Jeans", "Shoes"])


def listings(rows: int, seed: int) -> pd.DataFrame:
    """Made-up listings, each with what the model answers with the categories (`_told`) and without."""
    rng = np.random.default_rng(seed)
    price, kind = np.exp(rng.normal(7, 0.7, rows)), rng.choice(TYPES, rows)
    guess = price * np.exp(rng.normal(0, 0.2, rows))
    return pd.DataFrame(
        {
            "product_id": np.arange(rows),
            "price": price,
            "brand": rng.choice(["a", "b", "c", "d"], rows, p=[0.4, 0.3, 0.2, 0.1]),
            "quality_told": rng.beta(12, 1, rows),
            "quality": rng.beta(6, 1, rows),
            "predicted_price_told": guess,
            "predicted_price": guess * 1.6,
            "predicted_article_type": np.where(rng.random(rows) < 0.1, "Belts", kind),
            "true_article_type": kind,
        }
    )


def sent(frame: pd.DataFrame, told: Any) -> pd.DataFrame:
    """The rows as they are logged where `told` says whether the categories were sent."""
    told = np.broadcast_to(told, len(frame))
    plain = frame.drop(columns=["quality_told", "predicted_price_told"])
    for name in ("quality", "predicted_price"):
        plain[name] = np.where(told, frame[f"{name}_told"], frame[name])
    return plain.assign(categories_told=told)


def window(rows: int, seed: int, share: float) -> pd.DataFrame:
    """Calm traffic: other listings of the same kind, a share of them with their categories."""
    told = np.random.default_rng([seed, 1]).random(rows) < share
    return sent(listings(rows, seed), told).drop(columns="product_id")


def judged(reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec = SPEC) -> DriftVerdict:
    matched = match(reference, current, spec)
    return judge(matched.reference, matched.current, spec, CONFIG)


def drifted(verdict: DriftVerdict) -> set[str]:
    return {c.column for c in verdict.columns if c.drifted} | {p.prediction for p in verdict.performance if p.drifted}


def told_share(matched: Matched) -> tuple[float, float]:
    return matched.reference["categories_told"].mean(), matched.current["categories_told"].astype(bool).mean()


@pytest.fixture(scope="module")
def spec() -> ReferenceSpec:
    return SPEC


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    """1,500 listings told both ways."""
    drawn = listings(1500, 0)
    return pd.concat([sent(drawn, True), sent(drawn, False)]).sort_values("product_id", kind="stable", ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 0.9, 1.0])
def test_calm_traffic_is_no_drift_however_many_clients_tell_categories(reference: pd.DataFrame, share: float) -> None:
    for seed in (1, 2):
        verdict = judged(reference, window(600, seed, share))
        assert verdict.reasons == ()
        assert {c.column for c in verdict.columns} == {"price", "quality", "predicted_price", "brand"}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_unmatched_the_same_traffic_would_be_drift(reference: pd.DataFrame, share: float) -> None:
    told = reference[reference["categories_told"]]
    verdict = judge(told, window(600, 1, share), SPEC, CONFIG)
    assert drifted(verdict) == {"quality", "predicted_price"}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("column", ["quality", "predicted_price"])
def test_what_truly_drifts_is_found_however_it_was_told(reference: pd.DataFrame, column: str, share: float) -> None:
    current = window(600, 1, share)
    current[column] = current[column] ** 2 if column == "quality" else current[column] * 2
    assert drifted(judged(reference, current)) == {column}


@pytest.mark.parametrize("told", [True, False])
def test_a_fall_of_quality_in_one_way_alone_is_found_in_a_mixture(reference: pd.DataFrame, told: bool) -> None:
    current = window(1000, 1, 0.5)
    there = current["categories_told"] == told
    current.loc[there, "quality"] **= 4
    assert drifted(judged(reference, current)) == {"quality"}


def test_inputs_and_errors_are_judged_as_before(reference: pd.DataFrame) -> None:
    current = window(600, 1, 0.3)
    dearer, worse = current.assign(price=current["price"] * 2), current.assign(true_article_type="Hats")
    assert drifted(judged(reference, dearer)) == {"price"}
    assert drifted(judged(reference, worse)) == {"predicted_article_type"}


@pytest.mark.parametrize("share", [0.0, 0.002, 0.1, 0.37, 0.5, 0.999, 1.0])
def test_each_listing_is_drawn_once_and_none_is_lost(reference: pd.DataFrame, share: float) -> None:
    matched = match(reference, window(1000, 2, share), SPEC)
    assert matched.reference["product_id"].is_unique
    assert len(matched.reference) >= 1498  # to within a row of each way
    ours, theirs = told_share(matched)
    assert ours == pytest.approx(theirs, abs=2 / 1500)
    assert (len(matched.current), matched.notes) == (1000, ())
    rows = reference.merge(matched.reference)
    assert len(rows) == len(matched.reference)


def test_a_window_of_one_way_is_compared_with_all_rows_of_it(reference: pd.DataFrame) -> None:
    for told in (True, False):
        matched = match(reference, window(300, 3, float(told)), SPEC)
        pd.testing.assert_frame_equal(matched.reference, reference[reference["categories_told"] == told].reset_index(drop=True))


def test_the_draw_is_the_same_again_and_random(reference: pd.DataFrame) -> None:
    current = window(800, 4, 0.5)
    first, again = match(reference, current, SPEC).reference, match(reference, current, SPEC).reference
    pd.testing.assert_frame_equal(first, again)
    for told, rows in first.groupby("categories_told"):
        ids = rows["product_id"]
        assert ids.mean() == pytest.approx(750, abs=60), told
        assert not np.array_equal(np.diff(ids), np.full(len(ids) - 1, 2))


def test_listings_that_have_no_categories_become_no_more_frequent(reference: pd.DataFrame) -> None:
    without = reference[~(reference["categories_told"] & (reference["product_id"] % 5 == 0))]
    matched = match(without, window(1000, 5, 0.7), SPEC)
    ours, theirs = told_share(matched)
    assert ours == pytest.approx(theirs, abs=2 / 1000)
    untold = matched.reference[~matched.reference["categories_told"]]
    assert (untold["product_id"] % 5 == 0).mean() == pytest.approx(0.2, abs=0.06)
    assert 1100 < len(matched.reference) <= 1300
    assert judged(without, window(1000, 5, 0.7)).reasons == ()


def test_a_reference_whose_rows_are_examples_of_their_own_is_thinned(reference: pd.DataFrame) -> None:
    plain = SPEC.model_copy(update={"example": None})
    rows = pd.concat(
        [reference[reference["categories_told"]][:1000], reference[~reference["categories_told"]][1000:1400]], ignore_index=True
    )
    matched = match(rows, window(1000, 6, 0.5), plain)
    ours, theirs = told_share(matched)
    assert ours == pytest.approx(theirs, abs=2 / 800)
    assert len(matched.reference) == pytest.approx(800, abs=60)
    assert judged(rows, window(1000, 6, 0.5), plain).reasons == ()


def test_a_way_that_the_reference_hardly_holds_gives_no_verdict(reference: pd.DataFrame) -> None:
    few = reference[~reference["categories_told"] | (reference["product_id"] < 20)]
    verdict = judged(few, window(600, 7, 0.5))
    assert verdict.summary == "not enough data"
    assert verdict.reasons[0].startswith("the reference has ")


def test_rows_that_do_not_say_how_they_were_told_are_left_out_by_name(reference: pd.DataFrame) -> None:
    current = window(600, 8, 0.5).astype({"categories_told": object})
    current.loc[:99, "categories_told"] = None
    current.loc[:99, "quality"] = 0.0
    matched = match(reference, current, SPEC)
    assert len(matched.current) == 500
    assert matched.notes == ("100 of 600 rows of the window are left out: categories_told missing, or not in the reference",)
    assert judged(reference, current).reasons == ()


def test_nothing_to_match(reference: pd.DataFrame) -> None:
    current = window(600, 9, 0.5)
    for spec in (SPEC.model_copy(update={"match": ()}), ReferenceSpec.model_validate(RECOMMENDER_SPEC)):
        matched = match(reference, current, spec)
        assert matched.reference is reference
        assert matched.current is current
        assert matched.notes == ()
    assert match(reference, pd.DataFrame(), SPEC).reference is reference


@pytest.mark.slow
def test_false_alarms_stay_below_alpha() -> None:
    config = DriftConfig(alpha=0.1, min_effect=0.0)
    alarms = []
    for i in range(40):
        drawn = listings(400, 2 * i + 10)
        reference = pd.concat([sent(drawn, True), sent(drawn, False)], ignore_index=True)
        matched = match(reference, window(300, 2 * i + 11, i % 5 / 4), SPEC)
        alarms.append(judge(matched.reference, matched.current, SPEC, config).drifted)
    assert np.mean(alarms) <= 0.2


def serve(settings: Settings, frame: pd.DataFrame) -> None:
    """Put rows into the prediction table as the service does; a null of `categories_told` is a row from before there was one."""
    rows = []
    for values in frame.to_dict("records"):
        inputs = {name: values[name] for name in ("price", "brand", "categories_told") if values[name] is not None}
        outputs = {name: values[name] for name in ("quality", "predicted_price", "predicted_article_type")}
        rows.append(PredictionRow(model="product", version=1, endpoint="a", latency_ms=1.0, inputs=inputs, outputs=outputs))
    insert_predictions(settings.database_url, rows)


def run(settings: Settings, bundle: Path) -> MonitorOutcome:
    outcome = monitor(settings, CONFIG, "product", bundle, 1)
    assert MonitorOutcome.model_validate_json(outcome.model_dump_json()) == outcome
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_whole_run_over_calm_traffic(settings: Settings, bundle: Path, share: float) -> None:
    serve(settings, window(400, 10, share))
    outcome = run(settings, bundle)
    assert outcome.verdict.summary == "no drift"
    assert outcome.verdict.n_reference == pytest.approx(1500, abs=2)
    assert "categories_told" not in Path(outcome.report).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_whole_run_over_falling_quality_draws_the_matched_rows(settings: Settings, bundle: Path) -> None:
    current = window(400, 11, 0.0)
    serve(settings, current.assign(quality=current["quality"] ** 3))
    outcome = run(settings, bundle)
    assert drifted(outcome.verdict) == {"quality"}
    assert "quality: median " in Path(outcome.report).read_text(encoding="utf-8")


@pytest.mark.parametrize("old", [100, 400])
def test_rows_logged_before_there_was_the_column_are_left_out_with_a_line(settings: Settings, bundle: Path, old: int) -> None:
    current = window(400, 12, 0.5).astype({"categories_told": object})
    current.loc[: old - 1, "categories_told"] = None
    serve(settings, current)
    outcome = run(settings, bundle)
    line = f"{old} of 400 rows of the window are left out: categories_told missing, or not in the reference"
    assert line in Path(outcome.report).read_text(encoding="utf-8")
    if old == 400:
        assert outcome.verdict.reasons == ("the window has 0 rows; at least 200 are needed", line)
    else:
        assert (outcome.verdict.summary, outcome.verdict.n_current, outcome.verdict.notes) == ("no drift", 300, (line,))


def test_a_bundle_from_before_there_was_the_column_is_judged_unmatched(settings: Settings, bundle: Path, reference: Any) -> None:
    old = reference[reference["categories_told"]].drop(columns=["categories_told", "product_id"])
    old.to_parquet(bundle / "reference.parquet")
    spec = SPEC.model_dump(mode="json")
    del spec["match"], spec["example"]
    (bundle / "reference.json").write_text(json.dumps(spec))
    serve(settings, window(400, 13, 1.0))
    outcome = run(settings, bundle)
    assert (outcome.verdict.summary, outcome.verdict.n_reference, outcome.verdict.notes) == ("no drift", 1500, ())


@pytest.mark.parametrize("column", ["categories_told", "product_id"])
def test_a_reference_that_lacks_a_column_to_match_on_is_refused_in_one_line(
    bundle: Path, reference: pd.DataFrame, column: str
) -> None:
    reference.drop(columns=column).to_parquet(bundle / "reference.parquet")
    with pytest.raises(ReferenceError, match=f"lacks column {column}; ") as error:
        read_reference(bundle)
    assert "\n" not in str(error.value)


def test_a_listing_told_both_ways_counts_once(settings: Settings) -> None:
    drawn = listings(50, 14)
    serve(settings, pd.concat([sent(drawn, False), sent(drawn, True)]))
    found = read_window(settings.database_url, "product", 1, 1000, SPEC)
    assert (found.rows, len(found.frame), found.frame["categories_told"].all()) == (100, 50, True)
