"""From rows to a trained model: encoders, the photo tower's lessons, the whole model, and its calibration."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from catalog.images import ImageStore
from configs.schema import CorruptionConfig
from models.pretrained.plans import ImagePlan, TextPlan
from models.product import bundle
from models.product.bundle import Updates
from models.product.calibrate import calibrate
from models.product.config import ProductRunConfig
from models.product.data import Changes, ListingDataset, Part, ReviewRows, Rows
from models.product.encoders import Encoders
from models.product.lacking import lacks
from models.product.model import ProductModel
from models.product.photos import minutes, teach, wanted
from models.product.task import ProductTask
from models.product.tasks import Lacks
from models.training.trainer import FitResult, fit, training_loader, validation_loader

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What training leaves."""

    model: ProductModel
    encoders: Encoders
    text_plan: TextPlan | None
    image_plan: ImagePlan | None
    updates: Updates
    photo_updates: Updates | None
    lacks: Lacks


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
        VitrinaError: there is nothing to read or nothing to learn; see `models.training.trainer.fit` and
            `models.pretrained.encoders`.
    """
    text_plan, image_plan = bundle.plans(config.model)
    encoders, lacking = fit_encoders(training, images, config)
    faults = lacking.corruption(config.corruption)
    learnt = learning_rows(training, augmented, images, encoders, config, faults)
    held_out = held_out_rows(validation, images, encoders, config, faults)
    torch.manual_seed(config.trainer.seed)
    lessons = wanted(learnt, config, lacking)
    model = bundle.build(encoders, config.model, text_plan, image_plan, lessons)
    model.load_start()
    taught = teach(model, learnt, held_out, config, workdir / "photos", started) if lessons else None
    task = ProductTask(model, config.photo_lessons.rate_afterwards if lessons else 1.0, lacking.terms())
    trainer = config.trainer.model_copy(update=minutes(config.trainer, started))
    fitted = fit(task, training_loader(learnt, trainer), validation_loader(held_out, trainer), trainer, workdir, loggers)
    calibrate(task.model, held_out.batches(config.evaluation.batch_size), config.evaluation)
    return Trained(task.model, encoders, text_plan, image_plan, _updates(fitted), _updates(taught) if taught else None, lacking)


def _updates(result: FitResult) -> Updates:
    return Updates(made=result.updates, planned=result.planned)


def fit_encoders(training: Part, images: ImageStore, config: ProductRunConfig) -> tuple[Encoders, Lacks]:
    """Encoders of the training rows, and what these lack.

    Raises:
        VitrinaError: there is nothing to read, or nothing to learn.
    """
    rows, said = Rows.of(training.products), ReviewRows.of(training.reviews)
    found = lacks(rows, images, said, config.corruption, config.tasks)
    for what, reasons in (("no task", found.tasks), ("not read", found.parts)):
        if reasons:
            log.info("%s of this version: %s", what, "; ".join(f"{name} ({reason})" for name, reason in reasons.items()))
    return Encoders.fit(rows.listings, rows.photos, config.model, said.reviews, said.keys, found), found


def learning_rows(
    part: Part,
    augmented: pd.DataFrame,
    images: ImageStore,
    encoders: Encoders,
    config: ProductRunConfig,
    faults: CorruptionConfig | None,
) -> ListingDataset:
    """Rows that are augmented in every epoch, some with `faults`; the encoders were fitted on them."""
    rows = Rows.of(part.products) + Rows.of(augmented) if len(augmented) else Rows.of(part.products)
    changes = Changes(config.augmentation, faults, config.trainer.seed)
    reviews = ReviewRows.of(part.reviews)
    return ListingDataset(rows, images, encoders, config.model, changes, reviews, config.reviews_per_listing, fitted=True)


def held_out_rows(
    part: Part, images: ImageStore, encoders: Encoders, config: ProductRunConfig, faults: CorruptionConfig | None
) -> ListingDataset:
    """Rows as they are, but for the `faults` that the quality head is checked on."""
    changes = Changes(None, faults, config.trainer.seed)
    return ListingDataset(Rows.of(part.products), images, encoders, config.model, changes, ReviewRows.of(part.reviews))
