"""Tuning: a delivery in, the best hyper-parameters that a study found out."""

from zenml import pipeline

from pipelines.hooks import remember
from steps.find_base import find_base
from steps.load_catalogue import load_catalogue
from steps.report_study import report_study
from steps.results import Checks, ModelRun, Search
from steps.run_trials import run_trials
from steps.select_rows import select_rows
from steps.split_data import split_data
from steps.validate_data import validate_data


@pipeline(name="tuning", on_failure=remember)
def tuning(run: ModelRun, checks: Checks, search: Search, data: list[str]) -> None:
    """Validate, split, leave the test rows out, run trials, report.

    Augmentation may be part of the search, so each trial makes its own.
    """
    base = find_base(run.model)
    delivery = load_catalogue(run.model, data)
    quarantine, _ = validate_data(delivery, checks)
    split = split_data(delivery, quarantine, run.fitted)
    rows = select_rows(split, search)
    name, mlflow_run = run_trials(delivery, quarantine, rows, run.model, search, base)
    report_study(name, mlflow_run, run.model, search)
