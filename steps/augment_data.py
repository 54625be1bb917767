"""Step: extra training rows for what the delivery has too little of."""

from typing import Annotated

import pandas as pd
from zenml import step

from models import family
from steps.materializers import FrameMaterializer
from steps.results import Delivery, ModelRun


@step(output_materializers={"augmented": FrameMaterializer})
def augment_data(
    delivery: Delivery, quarantine: pd.DataFrame, split: pd.DataFrame, run: ModelRun
) -> Annotated[pd.DataFrame, "augmented"]:
    """Make them from training rows alone; what changes in every epoch is left to the loader."""
    return family.get(run.model).augment(delivery.open().without(quarantine), split, run.config)
