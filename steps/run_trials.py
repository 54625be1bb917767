"""Step: this worker's part of a study."""

from functools import partial
from typing import Annotated

import pandas as pd
from zenml import step

from configs.settings import Settings
from database.studies import study_storage
from models import family
from models.tuning import study
from models.tuning.space import study_about
from registry.bases import fetch_base
from registry.studies import join_study, log_trial
from steps.results import Delivery, MaybeBase, Search


@step(enable_cache=False)
def run_trials(
    delivery: Delivery, quarantine: pd.DataFrame, split: pd.DataFrame, model: str, search: Search, base: MaybeBase
) -> tuple[Annotated[str, "study"], Annotated[str, "mlflow_run"]]:
    """Run trials until the study has enough, together with whoever else works on it; an empty name gives it one."""
    settings, tuning = Settings.from_environment(), search.tuning
    about = study_about(model, delivery.fingerprint, search.values, tuning, base.version)
    under = fetch_base(settings, base.version) if base.version else None
    with study_storage(settings.database_url, tuning.heartbeat_seconds, tuning.retries) as storage:
        joined, parent = join_study(settings, storage, search.name, tuning, about)
        folder = settings.home / "tuning" / model / joined.study_name
        catalogue = delivery.open().without(quarantine)
        objective = study.objective_of(family.get(model), catalogue, split, search.values, tuning, folder, under)
        record = partial(log_trial, settings, model, parent, tuning.metric)
        study.run_trials(joined, tuning, objective, record)
        study.clear_ended(joined, folder)
        return joined.study_name, parent
