"""Step: may this version become a challenger?"""

from typing import Annotated

from zenml import step

from configs.schema import GateConfig
from models.evaluation.gates import GateDecision, decide
from models.evaluation.results import Evaluation
from steps.results import MaybeEvaluation


@step(enable_cache=False)
def check_gates(evaluation: Evaluation, champion: MaybeEvaluation, config: GateConfig) -> Annotated[GateDecision, "gates"]:
    """Baselines, the champion and bounds; the decision is recorded, not raised."""
    return decide(evaluation, config, champion.evaluation)
