"""Step: train, or go on training where a killed run stopped."""

from typing import Annotated

import pandas as pd
from zenml import step

from configs.settings import Settings
from models import family
from provenance.folder import training_folder
from registry.bases import fetch_base
from registry.runs import start_run
from steps.materializers import BundleMaterializer
from steps.results import Bundle, Delivery, MaybeBase, ModelRun


@step(output_materializers={"bundle": BundleMaterializer})
def train_model(
    delivery: Delivery, quarantine: pd.DataFrame, split: pd.DataFrame, augmented: pd.DataFrame, run: ModelRun, base: MaybeBase
) -> tuple[Annotated[Bundle, "bundle"], Annotated[str, "mlflow_run"]]:
    """Fit the model in a folder that its inputs name, so that the same call after a kill finds its checkpoint."""
    from lightning.pytorch.loggers import MLFlowLogger  # seconds, which no other step and no pipeline has to wait

    settings = Settings.from_environment()
    catalogue = delivery.open().without(quarantine)
    about = delivery.fingerprint, run.config, run.source, base.version, catalogue.left_out()
    folder = training_folder(settings.home, run.model, *about)
    under = fetch_base(settings, base.version) if base.version else None
    mlflow_run = start_run(settings, run.model, folder)
    logger = MLFlowLogger(tracking_uri=settings.tracking_uri, run_id=mlflow_run)
    bundle = family.get(run.model).train(catalogue, split, augmented, run.config, folder, [logger], under)
    return Bundle(bundle), mlflow_run
