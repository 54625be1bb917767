"""How a worker joins a study and reports on it: Optuna's record of it, and its run in MLflow."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import RDBStorage

from configs.schema import TuningConfig
from configs.settings import Settings
from database.studies import study_lock, study_storage
from models.tuning.result import StudyResult
from models.tuning.space import study_name
from models.tuning.study import open_study, result_of
from registry.studies import start_study

RUN = "mlflow_run"


def join_study(
    settings: Settings, storage: RDBStorage, name: str, tuning: TuningConfig, about: Mapping[str, Any]
) -> tuple[optuna.Study, str]:
    """The study and the id of its MLflow run; both are made by the first worker, whatever the others do meanwhile."""
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
