"""Step: the rows that trials may see."""

from typing import Annotated

import pandas as pd
from zenml import step

from models.tuning.space import rows_of_trials
from steps.materializers import FrameMaterializer
from steps.results import Search


@step(enable_cache=False, output_materializers={"trial_split": FrameMaterializer})
def select_rows(split: pd.DataFrame, search: Search) -> Annotated[pd.DataFrame, "trial_split"]:
    """Leave out the test rows, and draw training rows where the configuration asks for fewer."""
    return rows_of_trials(split, search.tuning)
