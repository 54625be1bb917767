"""Step: measure what was trained on the rows it has never seen."""

from typing import Annotated

import pandas as pd
from zenml import step

from catalog.profile import profile
from configs.schema import EvaluationConfig, RunConfig
from models import family
from models.evaluation.results import Evaluation
from steps.materializers import FrameMaterializer
from steps.results import Bundle, Delivery, ModelRun


@step(output_materializers={"predictions": FrameMaterializer})
def evaluate_model(
    bundle: Bundle, delivery: Delivery, quarantine: pd.DataFrame, split: pd.DataFrame, run: ModelRun, config: EvaluationConfig
) -> tuple[Annotated[Evaluation, "evaluation"], Annotated[pd.DataFrame, "predictions"]]:
    """Metrics with intervals, slices, what the data is like, and the predictions behind them, on the test rows."""
    catalogue = delivery.open().without(quarantine)
    measured = family.get(run.model).evaluate_rows(bundle.path, catalogue, measuring(run, config), test_rows(split))
    evaluation = measured.evaluation.model_copy(update={"profile": profile(catalogue, delivery.fingerprint)})
    return evaluation, measured.predictions


def measuring(run: ModelRun, config: EvaluationConfig) -> RunConfig:
    """Configuration by which a run's test rows are measured: `run` may be the same for several `config`."""
    return run.config.model_copy(update={"evaluation": config})


def test_rows(split: pd.DataFrame) -> pd.Series:
    """Keys of the test split."""
    return split.loc[split["split"] == "test"].iloc[:, 0]
