"""Studies in MLflow: a parent run a study, a child run a trial; workers that share a study share its run."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RDBStorage

from configs.schema import TuningConfig
from configs.settings import Settings
from database.studies import study_lock, study_storage
from models.tuning.result import StudyResult, TrialResult
from models.tuning.space import study_name
from models.tuning.study import open_study, result_of
from registry.connection import connected
from registry.register import REPORTS
from registry.runs import experiment_run, goes_on

RUN = "mlflow_run"
_STATUS = {"completed": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


def join_study(
    settings: Settings, storage: RDBStorage, name: str, tuning: TuningConfig, about: Mapping[str, Any]
) -> tuple[optuna.Study, str]:
    """The study and the id of its MLflow run; both are made by the first worker, whatever the others do meanwhile.

    Raises:
        ConfigError: there is a study of that name about something else.
        RegistryError: MLflow refused, or does not answer.
    """
    with study_lock(settings.database_url):
        study = open_study(storage, name or study_name(about), tuning, about)
        run_id = start_study(settings, about["model"], study.study_name, about, study.user_attrs.get(RUN))
        study.set_user_attr(RUN, run_id)
    return study, run_id


@contextmanager
def reporting(settings: Settings, name: str, tuning: TuningConfig) -> Iterator[StudyResult]:
    """The study as it stands, while no other worker reports: one that looked earlier must not write later."""
    url = settings.database_url
    with study_storage(url, tuning.heartbeat_seconds, tuning.retries) as storage, study_lock(url):  # the first takes the lock too
        yield result_of(optuna.load_study(study_name=name, storage=storage))


def start_study(settings: Settings, model: str, study: str, about: Mapping[str, Any], run_id: str | None) -> str:
    """Id of the run of a study: `run_id` where it still exists, else a new one with what it is about in `study.json`.

    Raises:
        RegistryError: MLflow refused, or does not answer.
    """
    with connected(settings) as client:
        if run_id and goes_on(client, run_id):
            return run_id
        run_id = experiment_run(settings, model, name=study)
        client.set_tag(run_id, "vitrina.study", study)
        client.log_text(run_id, json.dumps(about, indent=1), "study.json")
    return run_id


def log_trial(settings: Settings, model: str, parent: str, metric: str, trial: TrialResult) -> None:
    """A new run for a trial that ended: its parameters, and the metric after each epoch.

    Raises:
        RegistryError: MLflow refused, or does not answer.
    """
    from mlflow.entities import Metric, Param, RunTag

    with connected(settings) as client:
        run_id = experiment_run(settings, model, name=f"trial {trial.number}")
        now = trial.ended_ms or 0
        metrics = [Metric(metric, value, now, epoch) for epoch, value in trial.values.items()]
        if trial.value is not None:
            metrics.append(Metric("best", trial.value, now, 0))
        tags = {"mlflow.parentRunId": parent, "vitrina.trial": str(trial.number), "vitrina.trial_state": trial.state}
        if trial.why:
            tags["vitrina.trial_why"] = trial.why
        params = [Param(name, str(value)) for name, value in trial.params.items()]
        client.log_batch(run_id, metrics, params, [RunTag(name, value) for name, value in tags.items()])
        client.set_terminated(run_id, _STATUS[trial.state], trial.ended_ms)


def finish_study(settings: Settings, run_id: str, result: StudyResult, files: Mapping[str, Path]) -> None:
    """Log the best value, the numbers of trials and `files` (name in the run, and the file); the run is finished.

    Raises:
        RegistryError: MLflow refused, or does not answer.
    """
    with connected(settings) as client:
        for state in sorted({trial.state for trial in result.trials}):
            client.log_metric(run_id, f"trials_{state}", result.count(state))
        if result.best and result.best.value is not None:
            client.log_metric(run_id, "best", result.best.value)
            client.set_tag(run_id, "vitrina.best_trial", str(result.best.number))
        for name, file in files.items():
            client.log_text(run_id, file.read_text(encoding="utf-8"), f"{REPORTS}/{name}")
        client.set_terminated(run_id)
