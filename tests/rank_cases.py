"""Every task that is trained by gradient, small, with rows to train and to validate on: for tests of training on several ranks.

Dropout is off where a task has any, for its masks are each rank's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attention_cases
import describer_cases
import diffusion_cases
import numpy as np
import sequence_cases
import tiny_diffusion
import torch
from bundles import COLOURS, TYPES, draw, tiny_catalogue, tiny_config
from product_batches import PLAIN
from torch import nn
from torch.utils.data import Dataset

from catalog.catalogue import Catalogue
from catalog.images import DecodedPhoto
from configs.load import validate
from configs.schema import AugmentationConfig, CorruptionConfig
from models.describer.config import LessonsConfig
from models.describer.data import LessonDataset
from models.describer.model import WriterTask, build, own_architecture
from models.imagegen.answers import STYLES
from models.imagegen.codec.block import BlockCodec
from models.imagegen.codec.kl import CodecTask, KLCodec, Squares
from models.imagegen.config import CodecConfig, ImagegenModelConfig, JudgeConfig, PriorConfig
from models.imagegen.judge.judge import COLOUR, TYPE
from models.imagegen.judge.lessons import JudgeDataset, JudgeTask
from models.imagegen.judge.network import JudgeNet
from models.imagegen.own.data import Captions, PhotoDataset
from models.imagegen.own.denoiser import new_unet
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.task import DiffusionTask
from models.imagegen.photos import fitted
from models.imagegen.started import fitting as started
from models.product import bundle
from models.product.config import ProductModelConfig
from models.product.data import Changes, ListingDataset, ReviewRows, Rows
from models.product.encoders import Encoders
from models.product.heads.embedding import EmbeddingHead
from models.product.heads.type_evidence import TypeEvidenceHead
from models.product.photos import PhotoDataset as LessonPhotos
from models.product.photos import PhotoTask
from models.product.task import ProductTask
from models.product.towers import PhotoTower
from models.recommender.attention import LinkTask, Pairs
from models.recommender.graph import Graph
from models.recommender.neighbours import co_purchases
from models.recommender.sequence import NextItemTask, Sequences
from models.training.task import Task

SIZES = ((40, 32), (32, 48))


@dataclass
class Case:
    """What `fit` needs."""

    task: Task
    training: Dataset[Any]
    validation: Dataset[Any]


class Some(Dataset[Any]):
    """The first rows of a data set."""

    def __init__(self, dataset: Any, rows: int) -> None:
        assert len(dataset) >= rows
        self.dataset, self.rows = dataset, rows

    def __len__(self) -> int:
        return self.rows

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Any:
        return self.dataset.__getitems__(keys)


def _listings(folder: Path, faults: bool) -> tuple[ListingDataset, Any]:
    catalogue = Catalogue.open(tiny_catalogue(folder / "catalogue", products=60, reviews=40))
    config = validate(ProductModelConfig, tiny_config().model.model_dump() | PLAIN, where="test")
    rows, reviews = Rows.of(catalogue.products()), ReviewRows.of(catalogue.reviews())
    encoders = Encoders.fit(rows.listings, rows.photos, config, reviews.reviews, reviews.keys)
    changes = Changes(AugmentationConfig(), CorruptionConfig() if faults else None, seed=5)
    told = ListingDataset(rows, catalogue.images, encoders, config, changes, reviews, 1.0, fitted=True)
    torch.manual_seed(0)
    return told, bundle.build(encoders, config, photo_lessons=True)


def product(folder: Path) -> Case:
    """The whole model: heads for which few rows have labels, pairs between rows, reviews, batch normalisation."""
    told, model = _listings(folder, faults=True)
    return Case(ProductTask(model), told, told)


def photo_lessons(folder: Path) -> Case:
    """The photo tower alone."""
    told, model = _listings(folder, faults=False)
    retrieval = model.head(EmbeddingHead).retrieval
    assert isinstance(model.photo, PhotoTower) and retrieval is not None
    task = PhotoTask(model.photo, model.head(TypeEvidenceHead).photo_types, retrieval, smoothing=0.1)
    return Case(task, LessonPhotos(told, 1), LessonPhotos(told, 0))


def _pairs(surrounded: bool) -> Case:
    bought = attention_cases.bought()
    users, near = attention_cases.histories(bought), co_purchases(bought, 0.4, 10)
    graph = Graph.of(bought, attention_cases.attributes())
    # Fewer neighbours than there are, so that they are drawn; few negatives, so that items of pairs are not among them.
    config = attention_cases.CONFIG.model_copy(update={"negatives": 6, "fanouts": (3, 2, 2, 2)})
    pairs = np.repeat(np.arange(len(users)), users.lengths), users.items
    told = Pairs(users, graph, near, config, pairs, surrounded, seed=0)
    model = attention_cases.model_of(attention_cases.ITEMS, negatives=6, fanouts=(3, 2, 2, 2))
    return Case(LinkTask(model), told, told)


def links(folder: Path) -> Case:
    """Graph attention over drawn neighbourhoods."""
    return _pairs(surrounded=True)


def item_vectors(folder: Path) -> Case:
    """Item vectors by themselves."""
    return _pairs(surrounded=False)


def sequence(folder: Path) -> Case:
    """The next item, among drawn ones."""
    config = sequence_cases.CONFIG.model_copy(update={"negatives": 6})
    model = sequence_cases.model_of(config=config)
    parts = (Sequences(sequence_cases.walkers(), 30, config, seed=0, last_alone=last) for last in (False, True))
    return Case(NextItemTask(model), *parts)


def painter(folder: Path) -> Case:
    """The generator that is trained from nothing: two sizes, styles, hidden prompts, noise."""
    values = {
        "sizes": SIZES,
        "text": {"width": 16, "layers": 2, "heads": 2, "tokens": 8},
        "unet": {"channels": (8, 16), "heads": 2, "groups": 4},
        "codec": {"coefficients": 4},
        "diffusion": {"condition_dropout": 0.4},
        "styles": {"share": 0.5},
    }
    config = validate(ImagegenModelConfig, values, where="test")
    torch.manual_seed(0)  # principal components are found from random directions
    pixels = diffusion_cases.photos(40)
    codec = BlockCodec.fit([pixels], config.codec)
    prior = RidgePrior(6, 6, [(width, height, 4, height // 8, width // 8) for width, height in SIZES])
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    for width, height in SIZES:
        latents = codec.encode(nn.functional.interpolate(pixels, (height, width)))
        prior.fit((width, height), features, dict.fromkeys(STYLES, latents), PriorConfig())
    torch.manual_seed(0)
    task = DiffusionTask(new_unet(config, codec.channels), diffusion_cases.encoder().train(), codec, prior, config.diffusion)
    images: Any = {row: shot.photo for row, shot in enumerate(tiny_diffusion.shots(40))}
    captions = Captions(
        np.arange(40, dtype=np.int64),
        np.ones(40, dtype=np.int64),
        np.random.default_rng(0).integers(1, 50, (40, 8)).astype(np.int32),
        features.numpy().astype(np.float16),
    )
    told = PhotoDataset(images, range(40), captions, np.full(40, -1), config, seed=3)
    return Case(task, told, told)


def codec(folder: Path) -> Case:
    """The autoencoder: squares of two sizes, and noise."""
    config = CodecConfig.model_validate({"kind": "kl", "widths": (8, 16), "layers": 1, "groups": 4})
    torch.manual_seed(0)
    made = KLCodec.new(config)
    told = Squares([shot.photo for shot in tiny_diffusion.shots(40)], SIZES, 24, made.factor, seed=3)
    return Case(CodecTask(made, config.kl_weight), told, told)


def started_painter(folder: Path, method: str) -> Case:
    """The generator that starts from a pipeline, by adapters or whole."""
    start = tiny_diffusion.save_pipeline(folder / "pipeline")
    values = {"sizes": SIZES, "start": {"folder": str(start), "method": method, "rank": 4, "alpha": 4, "lora_rate": 1.0}}
    config = validate(ImagegenModelConfig, values, where="test")
    parts = started.read(start)
    torch.manual_seed(0)
    assert config.start is not None
    task = started.StartedTask(parts, config.start, config.diffusion)
    told = started._rows(tiny_diffusion.shots(40), parts, config, started._encoder(parts), 3, folder / "latents")
    return Case(task, told, told)


def judge(folder: Path) -> Case:
    """The judge of what is drawn: batch normalisation, noise, photos without a label."""
    config = JudgeConfig(side=32, channels=(8, 16), features=8, min_photos=2)
    rng = np.random.default_rng(0)
    kinds, colours = list(TYPES), list(COLOURS)
    pixels = np.stack(
        [
            fitted(DecodedPhoto(photo) if isinstance(photo, np.ndarray) else photo, (32, 32))
            for photo in (draw(TYPES[kinds[i % 4]][4], COLOURS[colours[i % 3]], rng) for i in range(40))
        ]
    )
    labels = {TYPE: np.arange(40) % 4, COLOUR: np.where(rng.random(40) < 0.3, np.arange(40) % 3, -1)}
    torch.manual_seed(0)
    task = JudgeTask(JudgeNet((8, 16), 8, {TYPE: 4, COLOUR: 3}), config)
    return Case(task, JudgeDataset(pixels, labels, 1), JudgeDataset(pixels, labels))


def describer(folder: Path) -> Case:
    """Texts of many lengths: a mean over tokens."""
    using = describer_cases.tokenizer()
    told = LessonDataset(describer_cases.lessons(using) * 10, using, describer_cases.SMALL, LessonsConfig(), seed=3)
    torch.manual_seed(0)
    return Case(WriterTask(build(own_architecture(describer_cases.SMALL, len(using)), len(using))), told, told)


CASES: Mapping[str, Callable[[Path], Case]] = {
    "product": product,
    "photo_lessons": photo_lessons,
    "links": links,
    "item_vectors": item_vectors,
    "sequence": sequence,
    "painter": painter,
    "codec": codec,
    "started_lora": lambda folder: started_painter(folder, "lora"),
    "started_full": lambda folder: started_painter(folder, "full"),
    "judge": judge,
    "describer": describer,
}
