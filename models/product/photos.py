"""The photo tower's first lessons: by itself, from article types and titles, before the whole model trains.

In the whole model a photo has to explain what the texts say more easily, and learns slowly beside them. Here it learns alone, at
the price of the tower only: to name the article type, and to find its own title among the batch's (InfoNCE, Radford et al. 2021),
where a title is the mean of its tokens' embeddings. The first passes see smaller photos (progressive resizing, Howard 2018;
Tan & Le 2021). The tower is kept with the linear head that names types and with what matches photos and titles.

Shapes: B listings, T title tokens, C width, h × w pixels.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from catalog.augmentation import augment_image
from configs.schema import TrainerConfig
from models.product.config import PATCH, PhotoLessons, ProductRunConfig
from models.product.data import ListingDataset
from models.product.heads.embedding import EmbeddingHead, RetrievalEmbedding
from models.product.heads.type_evidence import TypeEvidenceHead
from models.product.losses import LOG_TEMPERATURE, MAX_LOG_SCALE, info_nce, mean
from models.product.model import ProductModel
from models.product.tasks import Lacks
from models.product.towers import PhotoTower
from models.training.batches import moved
from models.training.task import Task
from models.training.trainer import FitResult, fit, training_loader, validation_loader


@dataclass(frozen=True)
class PhotoBatch:
    """Photos with what they are to be told from. Missing is 0 for tokens and types, False for a photo."""

    image: Tensor  # (B, 3, h, w) uint8
    has_image: Tensor  # (B,) bool
    title: Tensor  # (B, T) int64
    article_type: Tensor  # (B,) int64

    def __len__(self) -> int:
        return len(self.has_image)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "PhotoBatch":
        """The batch on another device."""
        return moved(self, device, non_blocking)


class PhotoDataset(Dataset[PhotoBatch]):
    """Photos, titles and article types of listings; photos are changed in every epoch as in the training of the whole model."""

    def __init__(self, listings: ListingDataset, low_res_epochs: int) -> None:
        self.listings, self.low_res_epochs = listings, low_res_epochs
        rows, encoders, config = listings.rows.listings, listings.encoders, listings.config
        self.titles = encoders.tokenizer.encode([row.title for row in rows], config.title_tokens)
        self.types = np.array([encoders.levels[-1].encode(row.categories[-1]) for row in rows], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.listings)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> PhotoBatch:
        """One batch of (epoch, index); epoch -1 asks for photos as they are."""
        size = self._size(keys[0][0])
        photos = [self._photo(epoch, index, size) for epoch, index in keys]
        black, indices = np.zeros((*size, 3), dtype=np.uint8), [index for _, index in keys]
        return PhotoBatch(
            image=torch.from_numpy(np.stack([black if photo is None else photo for photo in photos])).permute(0, 3, 1, 2),
            has_image=torch.tensor([photo is not None for photo in photos]),
            title=torch.from_numpy(self.titles[indices]),
            article_type=torch.from_numpy(self.types[indices]),
        )

    def _size(self, epoch: int) -> tuple[int, int]:
        """Height and width of an epoch's photos."""
        config = self.listings.config
        whole = config.image_height, config.image_width
        return (three_quarters(whole[0]), three_quarters(whole[1])) if 0 <= epoch < self.low_res_epochs else whole

    def _photo(self, epoch: int, index: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        photo, changes = self.listings.photo(index, size), self.listings.changes
        if photo is None or epoch < 0 or changes.augmentation is None:
            return photo
        return augment_image(photo, changes.augmentation, np.random.default_rng((changes.seed, epoch + 1, index)))


class PhotoTask(Task):
    """The tower with a head that names the article type, and a bag of words that it is to match."""

    def __init__(
        self, tower: PhotoTower, type_head: nn.Linear, retrieval: RetrievalEmbedding, smoothing: float, types: bool = True
    ) -> None:
        """`types`: photos are told apart by article types, which choose the best weights; without them, titles do."""
        super().__init__()
        self.tower, self.type_head, self.retrieval, self.smoothing = tower, type_head, retrieval, smoothing
        self.chosen_by = "article_type" if types else "contrastive"
        self.log_scale = nn.Parameter(torch.tensor(LOG_TEMPERATURE))

    def training_loss(self, batch: PhotoBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Cross-entropy of the article type, and InfoNCE between photos and titles."""
        return self._terms(batch, self.smoothing)[0]

    def validation_loss(self, batch: PhotoBatch) -> dict[str, Tensor]:
        """The same terms and the accuracy of the article type; the best weights are those that tell types best.

        InfoNCE on validation rows rises in the last passes, as its temperature falls, while recall does not.
        """
        terms, logits = self._terms(batch, 0.0)
        right = (logits.argmax(-1) == batch.article_type).float()
        known = batch.has_image & (batch.article_type != 0)
        return terms | {"loss": terms[self.chosen_by], "image_only_accuracy": mean(right, known)}

    def checkpoint_activations(self) -> None:
        """Recompute the tower's stages in the backward pass."""
        self.tower.checkpointing = True

    def _terms(self, batch: PhotoBatch, smoothing: float) -> tuple[dict[str, Tensor], Tensor]:
        pooled = self.tower.pooled(batch.image)
        logits = self.type_head(pooled).float()
        likelihood = F.cross_entropy(logits, batch.article_type, reduction="none", label_smoothing=smoothing)
        told = batch.has_image & (batch.title != 0).any(dim=1)
        photos, titles = self.retrieval.photo(pooled), self.retrieval.title(batch.title)
        terms = {
            "article_type": mean(likelihood, batch.has_image & (batch.article_type != 0)),
            "contrastive": info_nce(titles[told], photos[told], self.log_scale.clamp(max=MAX_LOG_SCALE).exp()),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}, logits


def wanted(training: ListingDataset, config: ProductRunConfig, lacks: Lacks) -> bool:
    """Whether there are such lessons.

    Not unless configured, for a pretrained encoder, where no listing has a photo, or where neither types nor titles can teach.
    """
    if {"article_type", "retrieval"} <= set(lacks.tasks):
        return False
    configured = lesson_epochs(config.photo_lessons, config.trainer) > 0 and config.model.image_encoder is None
    return configured and any(training.images.get(key) is not None for key in training.rows.photos)


def teach(
    model: ProductModel,
    training: ListingDataset,
    validation: ListingDataset,
    config: ProductRunConfig,
    workdir: Path,
    started: float,
) -> FitResult:
    """Train the photo tower of `model`, its head that names types and its retrieval embedding, in place.

    `models.training.trainer.fit` writes in `workdir`; `started` (`time.monotonic`) is when the training of the whole began.

    Raises:
        TrainingError: see `models.training.trainer.fit`.
    """
    lessons, epochs = config.photo_lessons, lesson_epochs(config.photo_lessons, config.trainer)
    rate = lessons.learning_rate or config.trainer.learning_rate
    update = {"epochs": epochs, "early_stopping": (), "wandb": "off", "optimizer": lessons.optimizer, "learning_rate": rate}
    trainer = config.trainer.model_copy(update=update | minutes(config.trainer, started, lessons.time))
    low_res = round(lessons.low_res_share * epochs)
    tower, retrieval = model.photo, model.head(EmbeddingHead).retrieval
    assert isinstance(tower, PhotoTower), "a pretrained encoder has no lessons"
    assert retrieval is not None, "the model was built without lessons"
    types = len(training.encoders.levels[-1]) > 1
    task = PhotoTask(tower, model.head(TypeEvidenceHead).photo_types, retrieval, config.model.label_smoothing, types)
    loaders = training_loader(PhotoDataset(training, low_res), trainer), validation_loader(PhotoDataset(validation, 0), trainer)
    return fit(task, *loaders, trainer, workdir)


def lesson_epochs(lessons: PhotoLessons, trainer: TrainerConfig) -> int:
    """Passes over the photos before the whole model trains."""
    return math.ceil(lessons.epochs * trainer.epochs)


def minutes(trainer: TrainerConfig, started: float, share: float = 1.0) -> dict[str, float | None]:
    """`max_minutes`: a share of what is left of it since `started` (`time.monotonic`), and a second at least."""
    if trainer.max_minutes is None:
        return {"max_minutes": None}
    return {"max_minutes": max(share * (trainer.max_minutes - (time.monotonic() - started) / 60), 1 / 60)}


def three_quarters(pixels: int) -> int:
    """Of a side, in whole patches."""
    return max(PATCH, round(0.75 * pixels / PATCH) * PATCH)
