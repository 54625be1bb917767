"""From products with photos to a generator: codec, captions, prior, network."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.images import ImageStore
from catalog.listing import Listing
from configs.schema import TrainerConfig
from models.errors import TrainingError
from models.family import Embedder
from models.imagegen.answers import STYLES
from models.imagegen.captions import captions
from models.imagegen.codec import CODECS
from models.imagegen.config import ImagegenModelConfig, ImagegenRunConfig
from models.imagegen.data import Captions, PhotoDataset, restyled
from models.imagegen.denoiser import new_unet
from models.imagegen.pipeline import ProductImagePipeline
from models.imagegen.prior import RidgePrior
from models.imagegen.prompts import Reader
from models.imagegen.task import DiffusionTask, scheduler_of
from models.imagegen.text import PromptEncoder
from models.training.trainer import FitResult, fit, training_loader, validation_loader

log = logging.getLogger(__name__)

LEAST_MINUTES = 0.05
CODEC_PHOTOS = 4000
"""Photos that the codec is fitted on, at most: 64 blocks of each at 64 x 64."""
PRIOR_PHOTOS = 16_000
"""Photos of each size and style that the prior is fitted on, at most."""
CHOSEN_BY = 1024
"""Validation photos by whose loss the weights are chosen, at most."""
BATCH = 256
"""Photos in memory at once while codec and prior are fitted."""


@dataclass(frozen=True)
class Pictured:
    """A product with a photo that can be decoded."""

    product_id: Any
    listing: Listing  # without the photo


@dataclass(frozen=True)
class Generator:
    """What training leaves."""

    pipeline: ProductImagePipeline
    reader: Reader
    fitted: FitResult
    explained: float  # share of the latents' variance that the prior explains, photorealistic, of the first size


def train(
    training: Sequence[Pictured],
    validation: Sequence[Pictured],
    images: ImageStore,
    base: Embedder,
    reader: Reader,
    config: ImagegenRunConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> Generator:
    """Train on photos of `training`, and keep the weights that are best on those of `validation`.

    Raises:
        VitrinaError: see `models.training.trainer.fit`.
    """
    started, model, seed = time.monotonic(), config.model, config.trainer.seed
    sets = [
        dataset(products, images, reader, model, seed + number)
        for number, products in enumerate((training, _some(validation, CHOSEN_BY, seed)))
    ]
    codec = fit_codec(sets[0], model, seed)
    prior, explained = fit_prior(sets[0], codec, model, seed)
    log.info("the prior explains %.1f%% of the variance of latents", 100 * explained)
    torch.manual_seed(seed)
    encoder = PromptEncoder(
        vocabulary=reader.vocabulary,
        tokens=model.text.tokens,
        features=reader.features,
        width=model.text.width,
        layers=model.text.layers,
        heads=model.text.heads,
    )
    unet = new_unet(model, codec.channels)
    task = DiffusionTask(unet, encoder, codec, prior, model.diffusion)
    trainer = _in_time(config.trainer, started)
    fitted = fit(task, training_loader(sets[0], trainer), validation_loader(sets[1], trainer), trainer, workdir, loggers)
    pipeline = ProductImagePipeline(task.unet, task.encoder, codec, prior, scheduler_of(model.diffusion))
    return Generator(pipeline, reader, fitted, explained)


def dataset(
    products: Sequence[Pictured], images: ImageStore, reader: Reader, config: ImagegenModelConfig, seed: int
) -> PhotoDataset:
    """Their photos with captions.

    Raises:
        TrainingError: there is none.
    """
    rng = np.random.default_rng(seed)
    texts = [captions(product.listing, rng) for product in products]
    kept = [(product, told) for product, told in zip(products, texts, strict=True) if told]
    if not kept:
        raise TrainingError(f"none of {len(products):,} products with a photo has a title or an article type to learn from")
    counts = np.array([len(told) for _, told in kept])
    ids, features = reader.read([text for _, told in kept for text in told])
    attribute = config.styles.attribute
    said = [product.listing.attributes.get(attribute, "") if attribute else "" for product, _ in kept]
    return PhotoDataset(
        images=images,
        products=[product.product_id for product, _ in kept],
        captions=Captions(np.cumsum(counts) - counts, counts, ids.numpy().astype(np.int32), features.numpy().astype(np.float16)),
        styled=np.array([style_of(text) for text in said], dtype=np.int64),
        config=config,
        seed=seed,
    )


def style_of(said: str) -> int:
    """Number of the style that an attribute names; -1 for none of them."""
    named = said.strip().casefold()
    return next((number for number, style in enumerate(STYLES) if style == named), -1)


def fit_codec(photos: PhotoDataset, config: ImagegenModelConfig, seed: int) -> Any:
    """The codec, on photos of the first size, some of them in other styles."""
    rows = np.random.default_rng(seed).permutation(len(photos))[:CODEC_PHOTOS]
    batches = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        pixels = photos.pixels(part.tolist(), config.sizes[0])
        styles = torch.zeros(len(part), dtype=torch.int64)
        styles[: round(config.styles.share * len(part))] = 1
        spread = styles * (1 + torch.arange(len(part)) % (len(STYLES) - 1))
        batches.append(restyled(pixels, spread))
    return CODECS[config.codec.kind].fit(batches, config.codec)


def fit_prior(photos: PhotoDataset, codec: Any, config: ImagegenModelConfig, seed: int) -> tuple[RidgePrior, float]:
    """The prior of each size and style, and the share of variance that the first one explains."""
    shapes = [(w, h, codec.channels, h // codec.factor, w // codec.factor) for w, h in config.sizes]
    prior = RidgePrior(photos.captions.features.shape[1], config.prior.rank, shapes)
    rng, explained = np.random.default_rng(seed), []
    rows = rng.permutation(len(photos))[:PRIOR_PHOTOS]
    texts = photos.captions.starts[rows] + rng.integers(photos.captions.counts[rows])
    features = torch.from_numpy(photos.captions.features[texts].astype(np.float32))
    for size in config.sizes:
        for number, style in enumerate(STYLES):
            explained.append(prior.fit(size, style, features, _latents(photos, rows, codec, size, number), config.prior))
    return prior, explained[0]


@torch.no_grad()
def _latents(photos: PhotoDataset, rows: NDArray[np.int64], codec: Any, size: tuple[int, int], style: int) -> Tensor:
    """(n, C, h, w) of photos in a style."""
    found = []
    for start in range(0, len(rows), BATCH):
        pixels = photos.pixels(rows[start : start + BATCH].tolist(), size)
        found.append(codec.encode(restyled(pixels, torch.full((len(pixels),), style))))
    return torch.cat(found)


def _some(products: Sequence[Pictured], most: int, seed: int) -> list[Pictured]:
    """At most so many of them, in order."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(products))[:most])
    return [products[row] for row in rows]


def _in_time(config: TrainerConfig, started: float) -> TrainerConfig:
    """`max_minutes` less what has gone by."""
    if config.max_minutes is None:
        return config
    left = config.max_minutes - (time.monotonic() - started) / 60
    return config.model_copy(update={"max_minutes": max(left, LEAST_MINUTES)})
