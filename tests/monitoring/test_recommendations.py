"""Recommendations under watch: lists as predictions, few columns, no text and no embedding."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import DriftConfig
from configs.settings import Settings
from database.predictions import PredictionRow, insert_feedback, insert_predictions, newest_predictions
from models.recommender.answers import Event, Query, Reason, Recommendation, Recommendations
from models.recommender.summary import REFERENCE_SPEC, summarise
from monitoring.drift import judge
from monitoring.prediction_log import PredictionLog
from monitoring.report import EVIDENTLY, write_report
from monitoring.run import monitor
from monitoring.verdict import DriftVerdict, ReferenceSpec
from monitoring.window import Window, read_reference, read_window

SPEC = ReferenceSpec.model_validate(REFERENCE_SPEC)
ITEMS = 500


def stream(
    rows: int, seed: int, activity: float = 1.0, popularity: float = 1.0, hit_rate: float = 0.3, feedback: float = 1.0
) -> pd.DataFrame:
    """A made-up window: users of skewed activity, visitors among them, ten items each, the one they chose often among these."""
    rng = np.random.default_rng(seed)
    history = np.round(rng.lognormal(2.0, 0.6, rows) * activity).astype(int)
    visitor = rng.random(rows) < 0.2
    shown = rng.beta(6, 3, rows) ** popularity
    lists = [[str(item) for item in rng.permutation(ITEMS)[:10]] for _ in range(rows)]
    hit = rng.random(rows) < hit_rate
    true: list[Any] = [int(items[rng.integers(10)]) if right else ITEMS + 1 for items, right in zip(lists, hit, strict=True)]
    frame = pd.DataFrame(
        {
            "history_length": np.where(visitor, 0, history),
            "new_events": np.where(visitor, 0, rng.poisson(2.0 * activity, rows)),
            "history_popularity": np.where(visitor, np.nan, rng.beta(5, 3, rows) ** popularity),
            "shown_popularity": shown,
            "shown": 10,
            "basis": np.where(visitor, "popularity", "history"),
            "top_reason": np.where(visitor, "popular", rng.choice(["bought_together", "bought_next"], rows)),
            "predicted_item_id": lists,
            "true_item_id": pd.Series(true, dtype=object).mask(rng.random(rows) >= feedback, None),
        }
    )
    return frame.astype({"history_popularity": object}).where(frame.notna(), None)


@pytest.fixture(scope="module")
def spec() -> ReferenceSpec:
    return SPEC


@pytest.fixture(scope="module")
def reference() -> pd.DataFrame:
    return stream(1500, seed=0)


def drifted(verdict: DriftVerdict) -> set[str]:
    return {c.column for c in verdict.columns if c.drifted} | {p.prediction for p in verdict.performance if p.drifted}


@pytest.mark.slow
def test_a_calm_stream_is_no_drift(reference: pd.DataFrame) -> None:
    for seed in range(1, 9):
        verdict = judge(reference, stream(600, seed), SPEC, DriftConfig())
        assert verdict.reasons == ()
        assert [p.hits for p in verdict.performance] == [True]
        assert verdict.performance[0].current_error == pytest.approx(0.7, abs=0.07)


def test_other_tastes_are_named(reference: pd.DataFrame) -> None:
    verdict = judge(reference, stream(600, 1, popularity=3.0), SPEC, DriftConfig())
    assert drifted(verdict) == {"history_popularity", "shown_popularity"}
    assert all(reason.split(":")[0] in drifted(verdict) for reason in verdict.reasons)


def test_other_activity_is_named(reference: pd.DataFrame) -> None:
    verdict = judge(reference, stream(600, 1, activity=2.5), SPEC, DriftConfig())
    assert drifted(verdict) == {"history_length", "new_events"}


def test_a_falling_hit_rate_is_named(reference: pd.DataFrame) -> None:
    verdict = judge(reference, stream(600, 1, hit_rate=0.15), SPEC, DriftConfig())
    (found,) = verdict.performance
    assert drifted(verdict) == {"predicted_item_id"}
    now, then = 1 - (found.current_error or 0), 1 - (found.reference_error or 0)
    assert verdict.reasons == (f"predicted_item_id: hit rate {now:.1%} of 600 answers with feedback, {then:.1%} before",)


@pytest.mark.slow
def test_a_low_hit_rate_that_vanishes_is_drift_though_errors_rise_by_less_than_a_tenth() -> None:
    before, now = stream(1500, 0, hit_rate=0.08), stream(800, 1, hit_rate=0.01)
    (found,) = judge(before, now, SPEC, DriftConfig()).performance
    assert found.rise < DriftConfig().max_error_increase
    assert found.drifted
    assert not judge(before, now, SPEC, DriftConfig(max_hit_rate_loss=0.99)).drifted


def test_a_rising_hit_rate_is_no_drift(reference: pd.DataFrame) -> None:
    (found,) = judge(reference, stream(600, 1, hit_rate=0.6), SPEC, DriftConfig()).performance
    assert (found.drifted, found.loss) == (False, 0.0)


def test_without_feedback_hits_are_not_compared(reference: pd.DataFrame) -> None:
    (found,) = judge(reference, stream(600, 1, feedback=0.0), SPEC, DriftConfig()).performance
    assert found.note == "not compared: truth is known for 1500 rows of the reference and 0 of the window"


def test_an_answer_is_right_where_it_holds_the_truth() -> None:
    lists = [["5", "6"], np.array(["7"]), (8, 9), [], None, ["5"]]
    frame = pd.DataFrame({"predicted_item_id": lists, "true_item_id": [5, "7", "10", 5, 5, None]})
    many = pd.concat([frame] * 30, ignore_index=True)
    spec = ReferenceSpec(prediction=("predicted_item_id",))
    (found,) = judge(many, many, spec, DriftConfig(min_rows=30)).performance
    assert (found.n_current, found.current_error) == (120, 0.5)


@pytest.mark.slow
def test_the_reference_keeps_its_lists(bundle: Path, reference: pd.DataFrame) -> None:
    frame, spec = read_reference(bundle)
    assert spec == SPEC
    assert list(frame["predicted_item_id"].iloc[0]) == reference["predicted_item_id"].iloc[0]
    (found,) = judge(frame, stream(600, 1), spec, DriftConfig()).performance
    (same,) = judge(reference, stream(600, 1), spec, DriftConfig()).performance
    assert found == same


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"popularity": 3.0, "activity": 2.5, "hit_rate": 0.1}], ids=["calm", "drift"])
def test_the_report_is_written_and_names_the_model(tmp_path: Path, reference: pd.DataFrame, change: dict[str, float]) -> None:
    current = stream(600, 1, **change)
    verdict = judge(reference, current, SPEC, DriftConfig())
    window = Window(frame=current, rows=700, key="k", start=None, end=None)
    html = write_report(tmp_path, "recommender", 4, reference, window, SPEC, verdict).read_text(encoding="utf-8")
    assert "recommender version 4" in html
    assert "700 predictions (600 distinct)" in html
    assert ("vitrina monitor --model recommender --retrain" in html) == ("hit rate" in html) == bool(change)
    assert (tmp_path / EVIDENTLY).is_file()


def logged(settings: Settings, queries: list[tuple[str | None, Recommendations]]) -> list[str]:
    """What the service logs for each (user, answer), through the prediction log; ids, oldest first."""
    log = PredictionLog(settings.database_url, 10_000)
    rows = []
    for number, (user, answer) in enumerate(queries):
        summary = summarise(Query(user_id=user, events=(Event("1"),)), answer)
        items = {"predicted_item_id": summary.pop("predicted_item_id")}
        rows.append(
            PredictionRow(
                model="recommender",
                version=2,
                endpoint="recommendations",
                latency_ms=1.0,
                inputs=summary | {"user": user},
                outputs=items,
                created_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
            )
        )
        assert log.record(rows[-1])
    log.start()
    log.close(20.0)
    assert log.dropped == 0
    return [row.id for row in rows]


def answer(*items: str) -> Recommendations:
    popular = Reason("popular", "many buy it", 0.1)
    return Recommendations(tuple(Recommendation(item, 1.0, {}, popular) for item in items), "popularity", 0)


def test_answers_travel_through_the_log_as_lists(settings: Settings) -> None:
    (identity,) = logged(settings, [("ana", answer("5", "6"))])
    insert_feedback(settings.database_url, identity, {"item_id": 6})
    window = read_window(settings.database_url, "recommender", 2, 100, SPEC)
    assert window.frame["predicted_item_id"].tolist() == [["5", "6"]]
    assert window.frame["true_item_id"].tolist() == [6]
    assert newest_predictions(settings.database_url, "recommender", 1)[0].outputs == {"predicted_item_id": ["5", "6"]}


@pytest.mark.parametrize(
    ("identity", "lists"),
    [
        (None, [["5"], ["4"], ["2"]]),  # equal inputs count once: both visitors are one
        (("user",), [["5"], ["4"], ["3"], ["2"]]),  # a user counts once, a visitor by itself
        ((), [["5"], ["4"], ["3"], ["2"], ["1"]]),  # each answer counts
    ],
)
def test_what_counts_once(settings: Settings, identity: tuple[str, ...] | None, lists: list[list[str]]) -> None:
    logged(settings, [("ana", answer("1")), ("ben", answer("2")), (None, answer("3")), (None, answer("4")), ("ana", answer("5"))])
    spec = SPEC.model_copy(update={"identity": identity})
    window = read_window(settings.database_url, "recommender", 2, 100, spec)
    assert window.rows == 5
    assert window.frame["predicted_item_id"].tolist() == lists


def test_of_a_users_answers_the_newest_with_feedback_counts(settings: Settings) -> None:
    ids = logged(settings, [("ana", answer(str(number))) for number in range(5)])
    for number in (1, 2):
        insert_feedback(settings.database_url, ids[number], {"item_id": "1"})
    window = read_window(settings.database_url, "recommender", 2, 100, SPEC.model_copy(update={"identity": ("user",)}))
    assert window.frame[["predicted_item_id", "true_item_id"]].values.tolist() == [[["2"], "1"]]


@pytest.mark.slow
def test_a_whole_run_over_logged_recommendations(settings: Settings, bundle: Path) -> None:
    rows = []
    for number, values in enumerate(stream(500, 3, popularity=3.0).drop(columns="true_item_id").to_dict("records")):
        outputs = {"predicted_item_id": values.pop("predicted_item_id")}
        inputs = values | {"asker": number}
        rows.append(PredictionRow(model="recommender", version=1, endpoint="r", latency_ms=1.0, inputs=inputs, outputs=outputs))
    insert_predictions(settings.database_url, rows)
    outcome = monitor(settings, DriftConfig(), "recommender", bundle, 1)
    assert outcome.verdict.n_current == 500
    assert drifted(outcome.verdict) == {"history_popularity", "shown_popularity"}
    assert "Drift: what is served" in Path(outcome.report).read_text(encoding="utf-8")
