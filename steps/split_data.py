"""Step: which rows train, which choose, which test."""

from typing import Annotated

import pandas as pd
from zenml import step

from models import family
from steps.materializers import FrameMaterializer
from steps.results import Delivery, ModelRun


@step(output_materializers={"split": FrameMaterializer})
def split_data(delivery: Delivery, quarantine: pd.DataFrame, run: ModelRun) -> Annotated[pd.DataFrame, "split"]:
    """Assign every row that is not in quarantine to train, validation or test."""
    return family.get(run.model).split(delivery.open().without(quarantine), run.config)
