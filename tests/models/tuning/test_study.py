"""Studies whose trials train nothing: what is reported, pruned, shared and retried."""

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from fresh import started
from optuna.trial import TrialState
from sqlalchemy import make_url

from configs.errors import ConfigError
from configs.load import load, read_yaml
from configs.schema import RunConfig, TuningConfig
from database.studies import study_storage
from models.errors import TrainingError
from models.family import Base
from models.tuning.report import write_best, write_report
from models.tuning.result import StudyResult
from models.tuning.space import study_about
from models.tuning.study import clear_ended, objective_of, open_study, result_of, run_trials

METRIC = "validation/accuracy"
SPACE = {"trainer.learning_rate": {"low": 0.001, "high": 1.0, "log": True}, "trainer.batch_size": {"choices": [8, 16]}}


class Curve:
    """A family that logs `accuracy(learning_rate, epoch)` after each epoch, as Lightning would."""

    config = RunConfig

    def __init__(self, accuracy: Callable[[float, int], float], seen: list[Any] | None = None) -> None:
        self.accuracy, self.seen = accuracy, [] if seen is None else seen
        self.bases: list[Any] = []

    def augment(self, catalogue: Any, split: pd.DataFrame, config: RunConfig) -> pd.DataFrame:
        return split.iloc[:0]

    def train(
        self,
        catalogue: Any,
        split: pd.DataFrame,
        augmented: pd.DataFrame,
        config: RunConfig,
        workdir: Path,
        loggers: Sequence[Any],
        base: Any,
    ) -> Path:
        assert not list(workdir.iterdir())
        (workdir / "last.ckpt").touch()
        self.seen.append(config)
        self.bases.append(base)
        for epoch in range(config.trainer.epochs):
            for logger in loggers:
                logger.log_metrics({"train/loss": 1.0, "epoch": epoch}, step=10 * epoch)
                logger.log_metrics({METRIC: self.accuracy(config.trainer.learning_rate, epoch), "validation/loss": 1.0}, step=10)
        return workdir


def good_where_small(rate: float, epoch: int) -> float:
    return 0.5 - 0.1 * rate + 0.1 * epoch


def tuning(**values: Any) -> TuningConfig:
    return TuningConfig.model_validate({"space": SPACE, "metric": METRIC, "direction": "maximize", "startup_trials": 2} | values)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


@pytest.fixture
def storage(url: str) -> Iterator[optuna.storages.RDBStorage]:
    with study_storage(url, heartbeat_seconds=60, retries=1) as opened:
        yield opened


def study_of(storage: Any, config: TuningConfig, name: str = "s", data: str = "f00") -> optuna.Study:
    return open_study(storage, name, config, study_about("curve", data, {}, config))


def search(storage: Any, config: TuningConfig, family: Curve, folder: Path, name: str = "s") -> StudyResult:
    study = study_of(storage, config, name)
    objective = objective_of(family, None, pd.DataFrame({"split": []}), {}, config, folder)  # type: ignore[arg-type]
    run_trials(study, config, objective, lambda trial: None)
    return result_of(study)


def test_the_best_value_of_any_epoch_counts_in_the_declared_direction(storage: Any, tmp_path: Path) -> None:
    humps = [0.2, 0.9, 0.4]
    config = tuning(trials=1, epochs=3)
    found = search(storage, config, Curve(lambda rate, epoch: humps[epoch]), tmp_path)
    assert found.best is not None
    assert found.best.value == 0.9
    assert found.best.values == {1: 0.2, 2: 0.9, 3: 0.4}
    lower = search(
        storage, tuning(trials=1, epochs=3, direction="minimize"), Curve(lambda rate, epoch: humps[epoch]), tmp_path, "low"
    )
    assert lower.best is not None and lower.best.value == 0.2


def test_a_trial_trains_the_drawn_values_in_a_folder_that_is_gone_afterwards(storage: Any, tmp_path: Path) -> None:
    family = Curve(good_where_small)
    found = search(storage, tuning(trials=3, pruner="none"), family, tmp_path / "trials")
    trained = [(c.trainer.learning_rate, c.trainer.batch_size, c.trainer.epochs) for c in family.seen]
    assert trained == [(t.params["trainer.learning_rate"], t.params["trainer.batch_size"], 2) for t in found.trials]
    assert list((tmp_path / "trials").iterdir()) == []
    assert found.best is not None
    assert found.best.params["trainer.learning_rate"] == min(rate for rate, _, _ in trained)


def test_every_trial_is_trained_with_the_same_base(storage: Any, tmp_path: Path) -> None:
    curve, base = Curve(good_where_small), Base("product", 3, "d" * 64, tmp_path)
    config = tuning(trials=2, pruner="none")
    objective = objective_of(curve, None, pd.DataFrame(), {}, config, tmp_path, base)  # type: ignore[arg-type]
    run_trials(study_of(storage, config), config, objective, lambda trial: None)
    assert curve.bases == [base, base]


def test_a_trial_that_does_badly_is_pruned_and_recorded_as_pruned(storage: Any, tmp_path: Path) -> None:
    order = iter([0.9, 0.9, 0.1])
    levels: dict[float, float] = {}

    def falling(rate: float, epoch: int) -> float:
        if rate not in levels:
            levels[rate] = next(order)
        return levels[rate]

    found = search(storage, tuning(trials=3, epochs=4), Curve(falling), tmp_path)
    assert [t.state for t in found.trials] == ["completed", "completed", "pruned"]
    assert found.trials[2].values == {1: 0.1}
    assert found.trials[2].value is None


def test_a_trial_is_not_pruned_after_its_last_epoch(storage: Any, tmp_path: Path) -> None:
    order = iter([0.9, 0.8, 0.1])
    found = search(storage, tuning(trials=3, epochs=1), Curve(lambda rate, epoch: next(order)), tmp_path)
    assert [t.value for t in found.trials] == [0.9, 0.8, 0.1]


@pytest.mark.slow
def test_what_cannot_be_trained_is_pruned_with_its_reason(storage: Any, tmp_path: Path) -> None:
    order = iter(["diverges", 0.5, float("nan"), 0.6])

    def some_diverge(rate: float, epoch: int) -> float:
        value = next(order)
        if isinstance(value, str):
            raise TrainingError(f"loss {value}")
        return value

    found = search(storage, tuning(trials=4, epochs=1), Curve(some_diverge), tmp_path)
    assert [t.state for t in found.trials] == ["pruned", "completed", "pruned", "completed"]
    assert found.trials[0].why == "loss diverges"
    assert "is nan after epoch 1" in found.trials[2].why
    assert found.best is not None and found.best.number == 3


def test_a_refused_combination_is_pruned_with_its_reason(storage: Any, tmp_path: Path) -> None:
    config = tuning(trials=2, space={"trainer.learning_rate": {"low": -2.0, "high": -1.0}})
    found = search(storage, config, Curve(good_where_small), tmp_path)
    assert {t.state for t in found.trials} == {"pruned"}
    assert "trainer.learning_rate" in found.trials[0].why
    assert found.best is None
    page = write_report(found, tmp_path / "report.html").read_text()
    assert "No trial completed" in page and "greater than 0" in page


@pytest.mark.slow
def test_another_error_stops_the_study(storage: Any, tmp_path: Path) -> None:
    config = tuning(trials=3, metric="validation/macro_f1")
    with pytest.raises(ConfigError, match=r"logs no 'validation/macro_f1'; allowed: validation/accuracy, validation/loss"):
        search(storage, config, Curve(good_where_small), tmp_path)
    assert result_of(study_of(storage, config)).count("failed") == 1


def test_a_study_of_something_else_is_refused(storage: Any) -> None:
    study_of(storage, tuning())
    study_of(storage, tuning(trials=99, pruner="hyperband"))  # comparable all the same
    with pytest.raises(ConfigError, match=r"study 's' exists and differs in direction; give another --study NAME"):
        study_of(storage, tuning(direction="minimize"))
    with pytest.raises(ConfigError, match="differs in data, space"):
        study_of(storage, tuning(space={"trainer.warmup": {"low": 0.0, "high": 0.1}}), data="f01")


@pytest.mark.slow
def test_the_same_search_draws_the_same_trials_also_when_it_was_interrupted(storage: Any, tmp_path: Path) -> None:
    whole = search(storage, tuning(trials=6, pruner="none"), Curve(good_where_small), tmp_path, "whole")
    search(storage, tuning(trials=2, pruner="none"), Curve(good_where_small), tmp_path, "parts")
    parts = search(storage, tuning(trials=6, pruner="none"), Curve(good_where_small), tmp_path, "parts")
    assert [t.params for t in parts.trials] == [t.params for t in whole.trials]
    other = search(storage, tuning(trials=6, pruner="none", seed=1), Curve(good_where_small), tmp_path, "other")
    assert [t.params for t in other.trials] != [t.params for t in whole.trials]


def worker(url: str, config: TuningConfig, folder: Path, meeting: Any = None) -> None:
    """Begins a first trial and waits in it: for the others of `meeting`, or for its end."""
    waits = iter([partial(time.sleep, 600) if meeting is None else meeting.wait])

    def slow(rate: float, epoch: int) -> float:
        next(waits, time.monotonic)()
        return good_where_small(rate, epoch)

    with study_storage(url, config.heartbeat_seconds, config.retries) as storage:
        search(storage, config, Curve(slow), folder)


@pytest.mark.slow
def test_two_workers_share_one_study(url: str, tmp_path: Path) -> None:
    config = tuning(trials=6, pruner="none")
    meeting = multiprocessing.get_context("forkserver").Barrier(2, timeout=250)  # both are in their first trial at one moment
    workers = [started(worker, url, config, tmp_path / "trials", meeting) for _ in range(2)]
    for process in workers:
        process.join(300)
    assert [process.exitcode for process in workers] == [0, 0]
    with study_storage(url, 60, 1) as storage:
        found = result_of(study_of(storage, config))
        assert found.count("completed") == len(found.trials)
        assert 6 <= len(found.trials) <= 7  # both may begin the last one at once
        assert len({t.params["trainer.learning_rate"] for t in found.trials}) == len(found.trials)
        began, ended = found.trials[1].started_ms, found.trials[0].ended_ms
        assert began is not None and ended is not None and began < ended  # side by side
        late = search(storage, config, Curve(good_where_small), tmp_path)
        assert len(late.trials) == len(found.trials)  # nothing is left to do


@pytest.mark.slow
def test_the_trial_of_a_killed_worker_is_run_again(url: str, tmp_path: Path) -> None:
    config = tuning(trials=2, heartbeat_seconds=1, pruner="none")
    process = started(worker, url, config, tmp_path / "trials")
    with study_storage(url, 1, 1) as storage:
        study = study_of(storage, config)
        deadline = time.monotonic() + 300
        while not (running := study.get_trials(states=(TrialState.RUNNING,))) or len(running[0].params) < 2:
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join(60)
        with closing(sqlite3.connect(make_url(url).database or "")) as database, database:  # its last heartbeat was long ago
            database.execute("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-1 minute')")
        found = search(storage, config, Curve(good_where_small), tmp_path)
    assert [t.state for t in found.trials] == ["failed", "completed", "completed"]
    assert found.trials[1].params == found.trials[0].params


def test_what_ended_trials_left_is_removed_and_what_others_run_is_not(storage: Any, tmp_path: Path) -> None:
    study = open_study(storage, "s", tuning(), {"metric": METRIC})
    killed, running = study.ask(), study.ask()
    study.tell(killed, state=TrialState.FAIL)
    folders = [tmp_path / f"trial-{trial.number}-x1_y" for trial in (killed, running)]
    for folder in (*folders, tmp_path / "trial-7-begun", tmp_path / "other"):
        folder.mkdir()
        (folder / "last.ckpt").touch()
    clear_ended(study, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["other", folders[1].name, "trial-7-begun"]
    clear_ended(study, tmp_path / "absent")


@pytest.mark.slow
def test_report_and_best_configuration(storage: Any, tmp_path: Path) -> None:
    found = search(storage, tuning(trials=8, rows=100), Curve(good_where_small), tmp_path)
    assert found.best is not None
    assert sum(found.importances.values()) == pytest.approx(1.0)
    page = write_report(found, tmp_path / "report.html").read_text()
    for text in (f"Best: trial {found.best.number}", "learning_rate", "100 training rows", "PED-ANOVA", found.tally()):
        assert text in page
    assert page.count("<svg") == 5  # course, curves, importances, one for each of two parameters
    values = {"trainer": {"batch_size": 4, "weight_decay": 0.1}, "gates": {"thresholds": []}, "tuning": {"trials": 3}}
    written = write_best(found, values, tmp_path / "best.yaml")
    assert read_yaml(written) == {
        "trainer": {
            "batch_size": found.best.params["trainer.batch_size"],
            "weight_decay": 0.1,
            "learning_rate": found.best.params["trainer.learning_rate"],
        },
        "gates": {"thresholds": []},
    }
    assert load(RunConfig, written).trainer.learning_rate == found.best.params["trainer.learning_rate"]
