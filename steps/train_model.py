"""Step: train, or go on training where a killed run stopped."""

from typing import Annotated, Any

import pandas as pd
from lightning.pytorch.loggers import MLFlowLogger
from zenml import step

from configs.settings import Settings
from models import family
from registry.runs import start_run
from steps.caching import MODEL_CACHE, model_source
from steps.materializers import BundleMaterializer
from steps.results import Bundle, Delivery
from steps.workdir import training_folder


@step(cache_policy=MODEL_CACHE, output_materializers={"bundle": BundleMaterializer})
def train_model(
    delivery: Delivery, split: pd.DataFrame, augmented: pd.DataFrame, model: str, config: dict[str, Any]
) -> tuple[Annotated[Bundle, "bundle"], Annotated[str, "mlflow_run"]]:
    """Fit `model` in a folder that its inputs name, so that the same call after a kill finds its checkpoint."""
    settings, chosen = Settings.from_environment(), family.get(model)
    folder = training_folder(settings.home, model, delivery.fingerprint, config, model_source())
    run_id = start_run(settings, model, folder)
    logger = MLFlowLogger(tracking_uri=settings.tracking_uri, run_id=run_id)
    catalogue = delivery.open()
    bundle = chosen.train(catalogue, split, augmented, chosen.config.model_validate(config), folder, [logger])
    return Bundle(bundle), run_id
