"""From rows to a trained model: encoders, the photo tower's lessons, the whole model, and its calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from catalog.images import ImageStore
from models.pretrained.plans import ImagePlan, TextPlan
from models.product import bundle
from models.product.bundle import Updates
from models.product.calibrate import calibrate
from models.product.config import ProductRunConfig
from models.product.data import Changes, ListingDataset, Part, ReviewRows, Rows
from models.product.encoders import Encoders
from models.product.model import ProductModel
from models.product.photos import minutes, teach, wanted
from models.product.task import ProductTask
from models.training.trainer import FitResult, fit, training_loader, validation_loader


@dataclass(frozen=True)
class Trained:
    """What training leaves."""

    model: ProductModel
    encoders: Encoders
    text_plan: TextPlan | None
    image_plan: ImagePlan | None
    updates: Updates
    photo_updates: Updates | None


def train(
    training: Part,
    validation: Part,
    augmented: pd.DataFrame,
    images: ImageStore,
    config: ProductRunConfig,
    workdir: Path,
    started: float,
    loggers: Sequence[Any] = (),
) -> Trained:
    """Train on `training` and `augmented`, calibrate on `validation`; `started` is when the training's time began to count.

    Raises:
        VitrinaError: fewer than two article types; see `models.training.trainer.fit` and `models.pretrained.encoders`.
    """
    text_plan, image_plan = bundle.plans(config.model)
    encoders = fit_encoders(training, config)
    learnt = learning_rows(training, augmented, images, encoders, config)
    held_out = held_out_rows(validation, images, encoders, config)
    torch.manual_seed(config.trainer.seed)
    lessons = wanted(learnt, config)
    model = bundle.build(encoders, config.model, text_plan, image_plan, lessons)
    model.load_start()
    taught = teach(model, learnt, held_out, config, workdir / "photos", started) if lessons else None
    task = ProductTask(model, config.photo_lessons.rate_afterwards if lessons else 1.0)
    trainer = config.trainer.model_copy(update=minutes(config.trainer, started))
    fitted = fit(task, training_loader(learnt, trainer), validation_loader(held_out, trainer), trainer, workdir, loggers)
    calibrate(task.model, held_out.batches(config.evaluation.batch_size), config.evaluation)
    return Trained(task.model, encoders, text_plan, image_plan, _updates(fitted), _updates(taught) if taught else None)


def _updates(result: FitResult) -> Updates:
    return Updates(made=result.updates, planned=result.planned)


def fit_encoders(training: Part, config: ProductRunConfig) -> Encoders:
    """Encoders of the training rows."""
    rows, said = Rows.of(training.products), ReviewRows.of(training.reviews)
    return Encoders.fit(rows.listings, rows.photos, config.model, said.reviews, said.keys)


def learning_rows(
    part: Part, augmented: pd.DataFrame, images: ImageStore, encoders: Encoders, config: ProductRunConfig
) -> ListingDataset:
    """Rows that are augmented in every epoch; the encoders were fitted on them."""
    rows = Rows.of(part.products) + Rows.of(augmented) if len(augmented) else Rows.of(part.products)
    changes = Changes(config.augmentation, config.corruption, config.trainer.seed)
    reviews = ReviewRows.of(part.reviews)
    return ListingDataset(rows, images, encoders, config.model, changes, reviews, config.reviews_per_listing, fitted=True)


def held_out_rows(part: Part, images: ImageStore, encoders: Encoders, config: ProductRunConfig) -> ListingDataset:
    """Rows as they are, but for the faults that the quality head is checked on."""
    changes = Changes(None, config.corruption, config.trainer.seed)
    return ListingDataset(Rows.of(part.products), images, encoders, config.model, changes, ReviewRows.of(part.reviews))
