"""Step: measure the current champion on the very same rows."""

from typing import Annotated

import pandas as pd
from zenml import step

from configs.schema import EvaluationConfig
from configs.settings import Settings
from models import family
from models.bundles import read_profile
from registry.fetch import fetch
from registry.versions import find_alias
from steps.evaluate_model import measuring, test_rows
from steps.materializers import FrameMaterializer
from steps.results import Delivery, MaybeEvaluation, ModelRun


@step(enable_cache=False, output_materializers={"champion_predictions": FrameMaterializer})
def evaluate_champion(
    delivery: Delivery, quarantine: pd.DataFrame, split: pd.DataFrame, run: ModelRun, config: EvaluationConfig
) -> tuple[Annotated[MaybeEvaluation, "champion"], Annotated[pd.DataFrame, "champion_predictions"]]:
    """The champion's metrics, what its own data was like, and predictions; empty while there is no champion."""
    settings = Settings.from_environment()
    champion = find_alias(settings, run.model, "champion")
    if champion is None:
        return MaybeEvaluation(), pd.DataFrame()
    catalogue, bundle = delivery.open().without(quarantine), fetch(settings, champion)
    measured = family.get(run.model).evaluate_rows(bundle, catalogue, measuring(run, config), test_rows(split))
    evaluation = measured.evaluation.model_copy(update={"profile": read_profile(bundle)})
    return MaybeEvaluation(version=champion.version, evaluation=evaluation), measured.predictions
