"""The page from which a reviewer decides on a few-shot model: is it better, where is it worse, may I ship it."""

from pathlib import Path

import pandas as pd

from catalog.catalogue import Catalogue
from models.evaluation import sections
from models.evaluation.bootstrap import mean_interval
from models.evaluation.comparison import shared_rows
from models.evaluation.gates import GateDecision
from models.evaluation.results import Evaluation, Metric
from models.evaluation.verdict import Headline
from models.family import EvaluationRun
from models.fewshot.names import NAMES


def write_report(
    run: EvaluationRun, champion: EvaluationRun | None, catalogue: Catalogue, decision: GateDecision, out: Path
) -> Headline:
    """Write the page to the file `out`, and return what it says first."""
    new, old = _main(run.evaluation), _main(champion.evaluation) if champion else None
    differences = None
    if champion and old:
        differences = sections.differences_of(new, old, paired_differences(run.predictions, champion.predictions), NAMES)
    parts = [
        sections.gates(decision),
        sections.metrics(new, old, differences, NAMES),
        *sections.beside_simple_models(new, NAMES),
        sections.slices(new, old, NAMES),
    ]
    return sections.write(out, new, old, decision, differences, parts, NAMES, "products")


def paired_differences(new: pd.DataFrame, old: pd.DataFrame) -> dict[str, Metric]:
    """Challenger minus champion of the metrics that are means over episodes, on the episodes that both have played."""
    both = shared_rows(new[new["kind"] == "episode"], old[old["kind"] == "episode"], "episode")
    found: dict[str, Metric] = {}
    for setting in both[0]["setting"].unique():
        a, b = (frame[frame["setting"] == setting] for frame in both)
        suffix = "" if setting == "5way_5shot" else f"_{setting}"
        names = {f"accuracy_{setting}": "accuracy"}
        names |= {f"{column}{suffix}": column for column in ("false_rejection", "unknown_rejection")}
        found |= {name: mean_interval((a[column] - b[column]).dropna()) for name, column in names.items()}
    return found


def _main(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what has a section of its own: learners alone."""
    kept = {name: m for name, m in evaluation.metrics.items() if "." not in name or NAMES.is_peer(name)}
    return evaluation.model_copy(update={"metrics": kept})
