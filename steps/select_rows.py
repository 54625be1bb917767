"""Step: the rows that trials may see."""

from typing import Annotated

import pandas as pd
from zenml import step

from configs.schema import TuningConfig
from models.tuning.space import rows_of_trials
from steps.caching import MODEL_CACHE
from steps.materializers import FrameMaterializer


@step(cache_policy=MODEL_CACHE, output_materializers={"trial_split": FrameMaterializer})
def select_rows(split: pd.DataFrame, tuning: TuningConfig) -> Annotated[pd.DataFrame, "trial_split"]:
    """Leave out the test rows, and draw training rows where the configuration asks for fewer."""
    return rows_of_trials(split, tuning)
