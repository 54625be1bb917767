"""Step: this worker's part of a study."""

import shutil
from functools import partial
from typing import Annotated, Any

import pandas as pd
from zenml import step

from configs.schema import TuningConfig
from configs.settings import Settings
from database.studies import study_storage
from models import family
from models.tuning import study
from models.tuning.space import study_about
from registry.studies import log_trial
from steps.results import Delivery
from steps.studies import join_study


@step(enable_cache=False)
def run_trials(
    delivery: Delivery, split: pd.DataFrame, model: str, config: dict[str, Any], tuning: TuningConfig, name: str
) -> tuple[Annotated[str, "study"], Annotated[str, "mlflow_run"]]:
    """Run trials until the study has enough, together with whoever else works on it; an empty name gives it one."""
    settings, chosen = Settings.from_environment(), family.get(model)
    about = study_about(model, delivery.fingerprint, config, tuning)
    with study_storage(settings.database_url, tuning.heartbeat_seconds, tuning.retries) as storage:
        joined, parent = join_study(settings, storage, name, tuning, about)
        folder = settings.home / "tuning" / model / joined.study_name
        objective = study.objective_of(chosen, delivery.open(), split, config, tuning, folder)
        record = partial(log_trial, settings, model, parent, tuning.metric)
        study.run_trials(joined, tuning, objective, record)
        if not study.result_of(joined).count("running"):
            shutil.rmtree(folder, ignore_errors=True)  # what killed workers left
        return joined.study_name, parent
