"""A drift verdict starts one training run, and only with something new to train on."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from homes import fresh

from catalog.catalogue import Catalogue
from cli import _show_monitoring
from configs.errors import VitrinaError
from configs.schema import RunConfig
from configs.settings import Settings
from database.events import EventRow, insert_events
from database.monitor_runs import claim_window, monitor_runs
from monitoring.run import MonitorOutcome
from monitoring.verdict import DriftVerdict
from operations import retraining
from operations.retraining import WatchOutcome, watch, watched
from provenance.events import with_events

FINGERPRINTS = {"first": "1" * 64, "second": "2" * 64, "first reviews": "3" * 64}


class Loop:
    """Monitoring that says what it is told to, and training that is only counted."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self.settings, self.trained_on = settings, list[list[Path]]()
        self.drifted, self.window, self.passes, self.crash = True, "window-1", True, False
        self.notes: tuple[str, ...] = ()
        patch.setattr(retraining, "run_monitoring", self._monitor)
        patch.setattr(retraining, "run_training", self._train)
        self.tags = {"vitrina.data_path": "first", "vitrina.data_fingerprint": FINGERPRINTS["first"]}
        patch.setattr("registry.versions.resolve", lambda *_: SimpleNamespace(tags=self.tags))
        patch.setattr(
            "catalog.catalogue.Catalogue.open",
            lambda *paths: SimpleNamespace(fingerprint=lambda: FINGERPRINTS[" ".join(path.name for path in paths)]),
        )

    def watch(self, data: str | None = "second", retrain: bool = True) -> WatchOutcome:
        return watch(self.settings, "product", RunConfig(), [Path(data)] if data else [], retrain)

    def _monitor(self, *_: Any) -> MonitorOutcome:
        reasons = ("price: it rose",) if self.drifted else ()
        counts = {"enough_rows": True, "n_reference": 300, "n_current": 400}
        verdict = DriftVerdict(drifted=self.drifted, alpha=0.01, min_effect=0.1, reasons=reasons, notes=self.notes, **counts)
        return MonitorOutcome(
            model="product",
            version=1,
            window_key=self.window,
            window_start=None,
            window_end=None,
            verdict=verdict,
            report="r.html",
        )

    def _train(self, settings: Settings, model: str, data: list[Path], config: RunConfig) -> Any:
        self.trained_on.append(data)
        if self.crash:
            raise VitrinaError("the delivery is broken")
        gates = {"passed": self.passes, "checks": ()}
        evaluation = {"model": model, "data": "2" * 64, "split": "test", "n": 1, "metrics": {}}
        return retraining.TrainingOutcome.model_validate(
            {
                "model": model,
                "version": 2,
                "challenger": self.passes,
                "gates": gates,
                "evaluation": evaluation,
                "report": "e.html",
                "zenml_run": "run",
                "stages": (),
            }
        )


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    settings = fresh(tmp_path)
    return Loop(settings, monkeypatch)


def states(loop: Loop) -> list[str]:
    return [run.retrain_state for run in monitor_runs(loop.settings.database_url, "product")]


def test_drift_starts_one_training_run_for_a_window(loop: Loop) -> None:
    first = loop.watch()
    assert first.training is not None
    assert first.training.version == 2
    assert not first.refused
    second = loop.watch()
    assert second.training is None
    assert second.retraining.startswith("not started")
    assert loop.trained_on == [[Path("second")]]
    assert states(loop) == ["done"]


def test_no_second_run_while_one_is_under_way(loop: Loop) -> None:
    assert claim_window(loop.settings.database_url, "product", 1, "another window")
    assert loop.watch().retraining.startswith("not started")
    assert loop.trained_on == []


def test_without_drift_nothing_is_trained(loop: Loop) -> None:
    loop.drifted = False
    outcome = loop.watch()
    assert (outcome.verdict, outcome.refused, loop.trained_on) == ("no drift", "", [])


def test_what_was_left_out_is_told(loop: Loop) -> None:
    loop.notes = ("5 of 405 rows of the window are left out",)
    told = _show_monitoring(loop.watch(retrain=False).model_dump(mode="json"))
    assert told.splitlines()[-2:] == ["  - price: it rose", "  - 5 of 405 rows of the window are left out"]


def test_drift_without_retrain_is_a_no(loop: Loop) -> None:
    outcome = loop.watch(retrain=False)
    assert "--retrain" in outcome.refused
    assert loop.trained_on == []


@pytest.mark.parametrize("data", [None, "first"])
def test_nothing_new_to_train_on_is_refused_before_the_window_is_claimed(loop: Loop, data: str | None) -> None:
    with pytest.raises(VitrinaError, match="--data"):
        loop.watch(data=data)
    assert loop.watch().training is not None


def test_the_champions_own_folders_are_looked_into_again(loop: Loop) -> None:
    loop.tags["vitrina.data_path"] = "first\nreviews"
    assert loop.watch(data=None).training is not None
    assert loop.trained_on == [[Path("first"), Path("reviews")]]


def test_a_base_that_moved_on_is_something_new(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.bases.behind", lambda settings, model: f"{model} version 1 rests on lower version 3")
    assert loop.watch(data="first").training is not None
    assert loop.trained_on == [[Path("first")]]


def test_events_since_the_champions_training_are_something_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = fresh(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    pd.DataFrame({"user_id": [1], "item_id": [5]}).to_parquet(data / "purchases.parquet")
    event = EventRow(user_id="1", item_id="5", kind="cart", occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    insert_events(settings.database_url, [event])
    before = with_events(Catalogue.open(data), settings)
    tags = {"vitrina.data_path": "\n".join(map(str, before.folders)), "vitrina.data_fingerprint": before.fingerprint()}
    monkeypatch.setattr("registry.versions.resolve", lambda *_: SimpleNamespace(tags=tags))
    monkeypatch.setattr("models.family.get", lambda _: SimpleNamespace(events=True, rests_on=None))
    with pytest.raises(VitrinaError, match="was trained on"):
        retraining._new_delivery(settings, "recommender", 1, [])
    insert_events(settings.database_url, [replace(event, event_id="another", kind="purchase")])
    assert retraining._new_delivery(settings, "recommender", 1, []) == [data]


def test_a_failed_gate_is_a_no_and_the_window_is_done(loop: Loop) -> None:
    loop.passes = False
    assert "version 2" in loop.watch().refused
    assert states(loop) == ["done"]


def test_a_training_that_breaks_may_be_tried_again(loop: Loop) -> None:
    loop.crash = True
    with pytest.raises(VitrinaError, match="broken"):
        loop.watch()
    assert states(loop) == ["failed"]
    loop.crash = False
    assert loop.watch().training is not None


def test_every_model_with_a_champion_is_watched(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"product": {"champion": 2}, "recommender": {"challenger": 1}}
    monkeypatch.setattr("registry.versions.alias_targets", lambda _, model: told.get(model, {}))
    assert watched(loop.settings) == ["product"]
    told["recommender"]["champion"] = 1
    assert watched(loop.settings) == ["product", "recommender"]
    told.clear()
    with pytest.raises(VitrinaError, match="no model has a champion to watch"):
        watched(loop.settings)
