from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.schema import DriftConfig
from configs.settings import Settings
from database.monitor_runs import claim_window, monitor_runs
from database.predictions import PredictionRow, insert_feedback, insert_predictions
from monitoring.report import EVIDENTLY
from monitoring.run import MonitorOutcome, monitor
from monitoring.window import ReferenceError, read_window
from tests.monitoring.conftest import SPEC


def serve(settings: Settings, frame: pd.DataFrame, version: int = 3) -> list[str]:
    """Put rows into the prediction table as the service does; returns their ids."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = []
    for number, values in enumerate(frame.to_dict("records")):
        inputs: dict[str, Any] = {name: values[name] for name in ("price", "attribute_count", "brand", "season", "title")}
        rows.append(
            PredictionRow(
                model="product",
                version=version,
                endpoint="analyze",
                latency_ms=2.0,
                inputs=inputs,
                outputs={"predicted_article_type": values["predicted_article_type"]},
                embedding=np.asarray(values["embedding"], dtype="<f4").tobytes(),
                created_at=start + timedelta(seconds=number),
            )
        )
    insert_predictions(settings.database_url, rows)
    return [row.id for row in rows]


@pytest.mark.slow
def test_a_calm_window_is_no_drift_and_is_kept(settings: Settings, bundle: Path, made: Any) -> None:
    serve(settings, made(500, 1))
    serve(settings, made(500, 2).assign(price=1.0), version=2)  # of another version: not looked at
    outcome = monitor(settings, DriftConfig(), "product", bundle, "3")
    assert outcome.verdict.summary == "no drift"
    assert outcome.version == 3
    assert MonitorOutcome.model_validate_json(outcome.model_dump_json()) == outcome
    page = Path(outcome.report)
    assert "No drift" in page.read_text(encoding="utf-8")
    assert (page.parent / EVIDENTLY).stat().st_size > 100_000
    assert sorted(p.name for p in page.parent.iterdir()) == ["drift.html", "evidently.html"]
    (kept,) = monitor_runs(settings.database_url, "product")
    assert kept.window_key == outcome.window_key
    assert kept.verdict["summary"] == "no drift"
    assert kept.window_end == outcome.window_end == datetime(2026, 1, 1, 0, 8, 19, tzinfo=UTC)


@pytest.mark.slow
def test_drift_is_reported_with_figures_and_the_window_is_claimed_once(settings: Settings, bundle: Path, made: Any) -> None:
    current = made(600, 3)
    current["price"] *= 2
    current["brand"] = [f"<b>new & $x_{{$ {i % 5}</b>" for i in range(600)]
    ids = serve(settings, current)
    for identity in ids[:60]:
        insert_feedback(settings.database_url, identity, {"article_type": "Hats"})
    outcome = monitor(settings, DriftConfig(), "product", bundle, 3)
    assert outcome.verdict.drifted
    assert {c.column for c in outcome.verdict.columns if c.drifted} == {"price", "brand"}
    assert outcome.verdict.performance[0].current_error == 1.0
    html = Path(outcome.report).read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    assert "<b>new" not in html
    again = monitor(settings, DriftConfig(), "product", bundle, 3)
    assert again.window_key == outcome.window_key
    claims = [claim_window(settings.database_url, "product", 3, again.window_key) for _ in range(2)]
    assert claims == [True, False]


def test_no_predictions_yet_is_not_enough_data(settings: Settings, bundle: Path) -> None:
    outcome = monitor(settings, DriftConfig(), "product", bundle, 3)
    assert outcome.verdict.summary == "not enough data"
    assert outcome.window_start is None
    assert "Not enough data" in Path(outcome.report).read_text(encoding="utf-8")


def test_repeated_inputs_count_once(settings: Settings, made: Any) -> None:
    frame = made(50, 4)
    ids = serve(settings, pd.concat([frame, frame, frame], ignore_index=True))
    insert_feedback(settings.database_url, ids[-1], {"article_type": "Hats"})
    window = read_window(settings.database_url, "product", 3, 1000, SPEC)
    assert (window.rows, len(window.frame)) == (150, 50)
    assert window.frame["true_article_type"].dropna().tolist() == ["Hats"]
    np.testing.assert_allclose(np.stack(window.frame["embedding"].tolist())[::-1], np.stack(frame["embedding"].tolist()))


def test_a_window_has_another_key_once_something_was_served(settings: Settings, made: Any) -> None:
    serve(settings, made(10, 5))
    first = read_window(settings.database_url, "product", 3, 100, SPEC).key
    assert read_window(settings.database_url, "product", 3, 100, SPEC).key == first
    serve(settings, made(1, 6))
    assert read_window(settings.database_url, "product", 3, 100, SPEC).key != first


@pytest.mark.parametrize("fault", ["no parquet", "no spec", "unknown key", "column"])
def test_a_bundle_without_a_usable_reference_is_refused(settings: Settings, bundle: Path, fault: str) -> None:
    match fault:
        case "no parquet":
            (bundle / "reference.parquet").unlink()
        case "no spec":
            (bundle / "reference.json").unlink()
        case "unknown key":
            (bundle / "reference.json").write_text('{"numbers": ["price"]}')
        case "column":
            (bundle / "reference.json").write_text('{"numerical": ["weight"]}')
    with pytest.raises(ReferenceError, match="reference") as error:
        monitor(settings, DriftConfig(), "product", bundle, 3)
    assert "\n" not in str(error.value)
    assert monitor_runs(settings.database_url, "product") == []


def test_a_version_that_is_no_number_is_refused(settings: Settings, bundle: Path) -> None:
    with pytest.raises(ConfigError, match="'champion'"):
        monitor(settings, DriftConfig(), "product", bundle, "champion")
