"""Tuning: a delivery in, the best hyper-parameters that a study found out."""

from typing import Any

from zenml import pipeline

from configs.schema import TuningConfig, ValidationConfig
from steps.load_catalogue import load_catalogue
from steps.report_study import report_study
from steps.run_trials import run_trials
from steps.select_rows import select_rows
from steps.split_data import split_data
from steps.validate_data import validate_data


@pipeline(name="tuning")
def tuning(
    model: str,
    data: list[str],
    validation: ValidationConfig,
    fit: dict[str, Any],
    search: TuningConfig,
    config: dict[str, Any],
    study: str,
) -> None:
    """Validate, split, leave the test rows out, run trials, report.

    `fit` is what the split depends on; `config` is what the configuration file says, without defaults, so that a trial may
    choose a preset. Augmentation may be part of the search, so each trial makes its own.
    """
    delivery = load_catalogue(model, data)
    quarantine, _ = validate_data(delivery, validation)
    split = split_data(delivery, quarantine, model, fit)
    rows = select_rows(split, search)
    name, mlflow_run = run_trials(delivery, rows, model, config, search, study)
    report_study(name, mlflow_run, model, config, search)
