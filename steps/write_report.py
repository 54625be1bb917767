"""Step: the page from which a reviewer decides."""

from typing import Annotated

import pandas as pd
from zenml import get_step_context, step
from zenml.types import HTMLString

from configs.settings import Settings
from models import family
from models.evaluation.first_screen import link
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation
from models.family import EvaluationRun
from steps.results import Delivery, MaybeEvaluation


@step(enable_cache=False)
def write_report(
    delivery: Delivery,
    evaluation: Evaluation,
    predictions: pd.DataFrame,
    champion: MaybeEvaluation,
    champion_predictions: pd.DataFrame,
    gates: GateDecision,
    model: str,
) -> tuple[Annotated[HTMLString, "evaluation_report"], Annotated[str, "headline"]]:
    """Challenger against champion, on one page, in the reports folder and as an artifact; and what it says first, as Markdown."""
    settings = Settings.from_environment()
    out = settings.reports / "evaluation" / model / f"{get_step_context().pipeline_run.name}.html"
    against = EvaluationRun(champion.evaluation, champion_predictions) if champion.evaluation else None
    run = EvaluationRun(evaluation, predictions)
    first = family.get(model).report(run, against, delivery.open(), gates, out, settings.playground)
    beside = f"Champion: version {champion.version}, measured on the same rows." if against else "There is no champion yet."
    lines = [*first.markdown(), "", beside]
    if to_try := link(model, against is not None, gates.passed, settings.playground):
        lines += ["", f"[{to_try[1]}]({to_try[0]})"]  # MLflow shows the page in a frame that opens nothing
    return HTMLString(out.read_text(encoding="utf-8")), "\n".join(lines)
