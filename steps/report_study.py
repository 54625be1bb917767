"""Step: what a study found, as a page, as a configuration to train with, and in MLflow."""

from typing import Annotated

from zenml import step
from zenml.types import HTMLString

from configs.errors import CheckFailed
from configs.settings import Settings
from models.tuning.report import write_best, write_report
from models.tuning.result import StudyResult
from registry.studies import finish_study, reporting
from steps.results import Search


@step(enable_cache=False)
def report_study(
    name: str, mlflow_run: str, model: str, search: Search
) -> tuple[Annotated[StudyResult, "study"], Annotated[HTMLString, "study_report"], Annotated[str, "best_config"]]:
    """Write both below the study's name; without a completed trial there is no best, and the run stops."""
    settings = Settings.from_environment()
    with reporting(settings, name, search.tuning) as study:
        page = write_report(study, settings.reports / "tuning" / model / f"{name}.html")
        files = {"study.html": page}
        if study.best:
            files["best.yaml"] = write_best(study, search.values, settings.home / "tuning" / model / f"{name}.yaml")
        finish_study(settings, mlflow_run, study, files)
    if not study.best:
        reasons = sorted({trial.why for trial in study.trials if trial.why})
        raise CheckFailed(f"study {name}: no trial completed; {'; '.join(reasons) or study.tally()}; see {page}")
    return study, HTMLString(page.read_text(encoding="utf-8")), files["best.yaml"].read_text(encoding="utf-8")
