"""Run the tuning pipeline, and read what the study found."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.schema import StrictModel
from configs.settings import Settings
from models.tuning.result import TrialResult
from operations.cluster import deliveries, require_folders, stack_for_run
from operations.run import execute, kept, output_of, require_space

STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class TuningOutcome(StrictModel):
    """What a study found so far: its best trial, and the configuration that trains it."""

    model: str
    study: str
    metric: str
    best: TrialResult
    trials: dict[str, int]
    config: str
    report: str
    mlflow_run: str
    zenml_run: str


def run_tuning(
    settings: Settings, model: str, data: Sequence[Path | str], values: Mapping[str, Any], study: str = ""
) -> TuningOutcome:
    """Work on a study until it has the trials that its configuration asks for, together with whoever else works on it.

    `values` is what the configuration says, without defaults; `data` are the catalogue's directories or addresses. Without a
    name the study is that of the same search on the same data.

    Raises:
        ConfigError: the space does not lie inside the model's configuration, or a study of that name is another one.
        CheckFailed: no trial completed.
        VitrinaError: the data or a service stopped it; the message says which.
    """
    if study and not STUDY_NAME.fullmatch(study):
        raise ConfigError(f"study name {study!r} is not allowed; letters, digits, dot, dash and underscore are, 100 at most")
    from models import family
    from models.tuning.space import check_space

    schema = family.get(model).config
    space = check_space(schema, values)
    require_folders(settings, data)
    stack = stack_for_run(settings)
    require_space(settings, stack)
    paths = deliveries(stack, data)
    from pipelines.tuning import tuning
    from steps.results import Checks, ModelRun, Search

    config = schema.model_validate(values)
    run = execute(
        tuning,
        run=ModelRun.of(model, config),  # as training does: the split is cached for both
        checks=Checks.of(config.validation),
        search=Search(values=dict(values), tuning=space, name=study),
        data=paths,
    )
    found = output_of(run, "report_study", "study")
    return TuningOutcome(
        model=model,
        study=found.name,
        metric=found.metric,
        best=found.best,
        trials={state: found.count(state) for state in dict.fromkeys(trial.state for trial in found.trials)},
        config=kept(stack, run, "report_study", "best_config", settings.home / "tuning" / model / f"{found.name}.yaml"),
        report=kept(stack, run, "report_study", "study_report", settings.reports / "tuning" / model / f"{found.name}.html"),
        mlflow_run=output_of(run, "run_trials", "mlflow_run"),
        zenml_run=str(run.id),
    )
