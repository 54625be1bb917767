"""Step: which rows train, which choose, which test."""

from typing import Annotated, Any

import pandas as pd
from zenml import step

from models import family
from steps.caching import MODEL_CACHE
from steps.materializers import FrameMaterializer
from steps.results import Delivery


@step(cache_policy=MODEL_CACHE, output_materializers={"split": FrameMaterializer})
def split_data(
    delivery: Delivery, quarantine: pd.DataFrame, model: str, config: dict[str, Any]
) -> Annotated[pd.DataFrame, "split"]:
    """Assign every row that is not in quarantine to train, validation or test."""
    chosen = family.get(model)
    catalogue = delivery.open().without(quarantine)
    return chosen.split(catalogue, chosen.config.model_validate(config))
