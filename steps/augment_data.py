"""Step: extra training rows for what the delivery has too little of."""

from typing import Annotated, Any

import pandas as pd
from zenml import step

from models import family
from steps.caching import MODEL_CACHE
from steps.materializers import FrameMaterializer
from steps.results import Delivery


@step(cache_policy=MODEL_CACHE, output_materializers={"augmented": FrameMaterializer})
def augment_data(
    delivery: Delivery, split: pd.DataFrame, model: str, config: dict[str, Any]
) -> Annotated[pd.DataFrame, "augmented"]:
    """Make them from training rows alone; what changes in every epoch is left to the loader."""
    chosen = family.get(model)
    return chosen.augment(delivery.open(), split, chosen.config.model_validate(config))
