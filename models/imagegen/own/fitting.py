"""From products with photos to a pipeline: codec, captions, prior, network."""

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
from configs.schema import TrainerConfig
from models.errors import TrainingError
from models.family import Embedder
from models.imagegen.answers import STYLES, Size
from models.imagegen.codec.block import BlockCodec
from models.imagegen.codec.kl import fit_codec
from models.imagegen.config import ImagegenModelConfig, ImagegenRunConfig
from models.imagegen.memory import enough_memory
from models.imagegen.own.captions import captions
from models.imagegen.own.data import Captions, PhotoDataset, restyled
from models.imagegen.own.denoiser import new_unet
from models.imagegen.own.pipeline import ProductImagePipeline
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.prompts import Reader, words_of
from models.imagegen.own.task import DiffusionTask, scheduler_of
from models.imagegen.own.text import PromptEncoder
from models.imagegen.shots import Pictured, StoredPhotos
from models.training.trainer import FitResult, fit, training_loader, validation_loader

log = logging.getLogger(__name__)

LEAST_MINUTES = 0.05
CODEC_PHOTOS = 4000
"""Photos that the codec is fitted on, at most: 64 blocks of each at 64 x 64."""
PRIOR_PHOTOS = 16_000
"""Photos of each size and style that the prior is fitted on, at most."""
PRIOR_NUMBERS = 1 << 28
"""Numbers of their latents, at most, which are in memory together: a gigabyte a style. Photos of 1024 x 1024 are then fewer."""
CHOSEN_BY = 1024
"""Validation photos by whose loss the weights are chosen, at most."""
BATCH = 256
"""Photos in memory at once while codec and prior are fitted, of up to 64 x 64 pixels; fewer of larger ones."""


@dataclass(frozen=True)
class OwnTrained:
    """What training leaves.

    Attributes:
        pipeline: On the CPU, with the best weights.
        words: Those of training captions.
        result: What became of the training.
        explained: Share of the latents' variance that the prior explains, photorealistic, of the first size.
        start: It started from nothing.
    """

    pipeline: ProductImagePipeline
    words: frozenset[str]
    result: FitResult
    explained: float
    start: None = None

    @property
    def networks(self) -> tuple[Any, ...]:
        """What was trained."""
        return self.pipeline.unet, self.pipeline.encoder


def train(
    training: Sequence[Pictured],
    validation: Sequence[Pictured],
    images: ImageStore,
    base: Embedder,
    folder: Path,
    config: ImagegenRunConfig,
    workdir: Path,
    loggers: Sequence[Any] = (),
) -> OwnTrained:
    """Train on photos of `training`, and keep the weights that are best on those of `validation`; `folder` is the base's bundle.

    Raises:
        VitrinaError: see `models.training.trainer.fit`; or no product has a text to learn from.
    """
    started, model, seed = time.monotonic(), config.model, config.trainer.seed
    rng = np.random.default_rng(seed)
    told = [[captions(product.listing, rng) for product in products] for products in (training, _some(validation, seed))]
    words = frozenset(word for texts in told[0] for text in texts for word in words_of(text))
    reader = Reader.load(base, folder, model.text.tokens, words)
    sets = [
        dataset(products, texts, images, reader, model, seed + number)
        for number, (products, texts) in enumerate(zip((training, _some(validation, seed)), told, strict=True))
    ]
    torch.manual_seed(seed)  # principal components are found from random directions
    codec = _codec(sets, images, config, workdir / "codec", loggers)
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
    unet = new_unet(model, codec.channels).to(memory_format=torch.channels_last)  # a third faster on CPUs
    task = DiffusionTask(unet, encoder, codec, prior, model.diffusion)
    trainer = _in_time(config.trainer, started)
    less = "lower trainer.batch_size, set trainer.gradient_checkpointing or train smaller model.sizes"
    with enough_memory("training the U-Net", less):
        result = fit(task, training_loader(sets[0], trainer), validation_loader(sets[1], trainer), trainer, workdir, loggers)
    pipeline = ProductImagePipeline(task.unet, task.encoder, codec, prior, scheduler_of(model.diffusion))
    return OwnTrained(pipeline, words, result, explained)


def dataset(
    products: Sequence[Pictured],
    texts: Sequence[tuple[str, ...]],
    images: ImageStore,
    reader: Reader,
    config: ImagegenModelConfig,
    seed: int,
) -> PhotoDataset:
    """Their photos with captions.

    Raises:
        TrainingError: there is none.
    """
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


def _codec(
    sets: Sequence[PhotoDataset], images: ImageStore, config: ImagegenRunConfig, workdir: Path, loggers: Sequence[Any]
) -> Any:
    """Fitted in closed form, read, or trained in `workdir`."""
    model, trainer = config.model, config.trainer
    if model.codec.kind == "block":
        return fit_block_codec(sets[0], model, trainer.seed)
    photos = [StoredPhotos(images, one.products) for one in sets]
    return fit_codec(photos[0], photos[1], model.sizes, model.codec, trainer, workdir, loggers)


def fit_block_codec(photos: PhotoDataset, config: ImagegenModelConfig, seed: int) -> Any:
    """On photos of the first size, some of them in other styles."""
    rows = np.random.default_rng(seed).permutation(len(photos))[:CODEC_PHOTOS]
    batches = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        pixels = photos.pixels(part.tolist(), config.sizes[0])
        styles = torch.zeros(len(part), dtype=torch.int64)
        styles[: round(config.styles.share * len(part))] = 1
        spread = styles * (1 + torch.arange(len(part)) % (len(STYLES) - 1))
        batches.append(restyled(pixels, spread))
    return BlockCodec.fit(batches, config.codec)


def fit_prior(photos: PhotoDataset, codec: Any, config: ImagegenModelConfig, seed: int) -> tuple[RidgePrior, float]:
    """The prior of each size and style, and the share of variance explained of photorealistic latents of the first size."""
    shapes = [(w, h, codec.channels, h // codec.factor, w // codec.factor) for w, h in config.sizes]
    prior = RidgePrior(photos.captions.features.shape[1], config.prior.rank, shapes)
    rng, explained = np.random.default_rng(seed), list[float]()
    rows = rng.permutation(len(photos))[:PRIOR_PHOTOS]
    texts = photos.captions.starts[rows] + rng.integers(photos.captions.counts[rows])
    features = torch.from_numpy(photos.captions.features[texts].astype(np.float32))
    for size in config.sizes:
        width, height = size
        numbers = codec.channels * (height // codec.factor) * (width // codec.factor)
        some = rows[: max(1, PRIOR_NUMBERS // numbers)]
        found = prior.fit(size, features[: len(some)], _latents(photos, some, codec, size), config.prior)
        explained.append(found[STYLES[0]])
    return prior, explained[0]


@torch.no_grad()
def _latents(photos: PhotoDataset, rows: NDArray[np.int64], codec: Any, size: Size) -> dict[str, Tensor]:
    """(n, C, h, w) of photos in each style."""
    found: dict[str, list[Tensor]] = {style: [] for style in STYLES}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step = max(1, BATCH * 64 * 64 // max(64 * 64, size[0] * size[1]))
    codec = codec.to(device)
    for start in range(0, len(rows), step):
        pixels = photos.pixels(rows[start : start + step].tolist(), size)
        for number, style in enumerate(STYLES):
            styled = restyled(pixels, torch.full((len(pixels),), number))
            found[style].append(codec.encode(styled.to(device)).cpu())
    codec.to("cpu")
    return {style: torch.cat(parts) for style, parts in found.items()}


def _some(products: Sequence[Pictured], seed: int) -> list[Pictured]:
    """At most `CHOSEN_BY` of them, in order."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(products))[:CHOSEN_BY])
    return [products[row] for row in rows]


def _in_time(config: TrainerConfig, started: float) -> TrainerConfig:
    """`max_minutes` less what has gone by."""
    if config.max_minutes is None:
        return config
    left = config.max_minutes - (time.monotonic() - started) / 60
    return config.model_copy(update={"max_minutes": max(left, LEAST_MINUTES)})
