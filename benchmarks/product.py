"""The product model with fresh weights and made-up batches of full size, for benchmarks of its speed."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from catalog.corruption import KINDS
from models.product.config import ProductModelConfig
from models.product.inputs import Batch, Inputs, Reviews, Sizes
from models.product.model import ProductModel
from models.product.parts import FACTS, PRIOR_SEGMENTS
from models.product.priors.neighbours import NAMES as NEIGHBOUR_FEATURES
from models.product.task import ProductTask

NAMES, VALUES, LEVELS, PATHS = 180, 1800, (8, 46, 143), 150
"""About those of a fashion catalogue of 40,000 products."""
SEED = 0


def device() -> str:
    """Where models run here."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def accelerator() -> str:
    """Its name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def synchronise() -> None:
    """Wait for what a GPU still has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def sizes_of(config: ProductModelConfig) -> Sizes:
    """Of a model with fresh weights."""
    return Sizes(config.vocab_size, NAMES, VALUES, LEVELS)


def product_model(config: ProductModelConfig) -> ProductModel:
    """Fresh weights on the device; branches that start at zero have an effect, as after training."""
    generator = torch.Generator().manual_seed(SEED)
    paths = torch.stack([torch.randint(1, n, (PATHS,), generator=generator) for n in LEVELS], dim=1)
    torch.manual_seed(SEED)
    model = ProductModel(config, sizes_of(config), paths)
    for parameter in model.parameters():
        if parameter.ndim > 1 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return model.to(device())


def listings(config: ProductModelConfig, rows: int, seed: int = SEED, sizes: Sizes | None = None) -> Inputs:
    """A batch whose longest texts are as long as the model reads; a tenth of the photos and prices are missing.

    `sizes` are those of a trained model.
    """
    g, sizes = torch.Generator().manual_seed(seed), sizes or sizes_of(config)
    attributes = config.max_attributes
    return Inputs(
        title=_texts(rows, config.title_tokens, sizes.tokens, g),
        description=_texts(rows, config.description_tokens, sizes.tokens, g),
        image=torch.randint(0, 256, (rows, 3, config.image_height, config.image_width), generator=g, dtype=torch.uint8),
        has_image=torch.rand(rows, generator=g) < 0.9,
        names=torch.randint(1, sizes.names, (rows, attributes), generator=g),
        values=torch.randint(0, sizes.values, (rows, attributes), generator=g),
        price=torch.randn(rows, generator=g).masked_fill(torch.rand(rows, generator=g) < 0.1, torch.nan),
        categories=torch.stack([torch.randint(1, n, (rows,), generator=g) for n in sizes.levels], dim=1),
        price_prior=torch.randn(rows, len(PRIOR_SEGMENTS), generator=g),
        neighbours=torch.randn(rows, len(NEIGHBOUR_FEATURES), generator=g),
        title_prior=torch.randn(rows, sizes.levels[-1], generator=g).log_softmax(-1),
        facts=torch.rand(rows, len(FACTS), generator=g),
    )


def batches(config: ProductModelConfig, rows: int, count: int) -> list[Batch]:
    """Training batches on the CPU: a quarter as many reviews as listings, a quarter of the listings with a fault."""
    found = []
    for seed in range(count):
        g = torch.Generator().manual_seed(1000 + seed)
        reviews = max(1, rows // 4)
        faults = torch.zeros(rows, len(KINDS), dtype=torch.bool)
        faults[: rows // 4] = torch.eye(len(KINDS), dtype=torch.bool)[torch.randint(len(KINDS), (rows // 4,), generator=g)]
        told = Reviews(
            title=_texts(reviews, config.title_tokens, config.vocab_size, g),
            text=_texts(reviews, config.review_tokens, config.vocab_size, g),
            prior=torch.randn(reviews, generator=g),
            recommended=(torch.rand(reviews, generator=g) < 0.8).float(),
            rating=torch.randint(1, 6, (reviews,), generator=g).float(),
        )
        found.append(Batch(listings(config, rows, seed), faults, told))
    return found


class Step:
    """Forward and backward passes of the training loss."""

    def __init__(
        self, config: ProductModelConfig, autocast: bool = False, checkpointing: bool = False, compiled: bool = False
    ) -> None:
        self.task = ProductTask(product_model(config)).to(device()).train()
        self.autocast = autocast
        if checkpointing:
            self.task.checkpoint_activations()
        for part in self.task.compile_parts() if compiled else ():
            part.compile()

    def run(self, batch: Batch) -> Tensor:
        """The loss; gradients are left in the parameters."""
        self.task.zero_grad(set_to_none=True)
        with torch.autocast(device(), torch.bfloat16, enabled=self.autocast):
            loss = self.task.training_loss(batch.to(device()), torch.Generator().manual_seed(SEED))["loss"]
        loss.backward()
        return loss


def alternate(ways: Mapping[str, Callable[[], Any]], repeats: int, warm: int = 2) -> dict[str, list[float]]:
    """Seconds of each call; the ways take turns, so that what else runs here disturbs all alike."""
    for way in ways.values():
        for _ in range(warm):
            way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            synchronise()
            start = time.perf_counter()
            way()
            synchronise()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median, and the interval that holds 90 % of the calls."""
    low, middle, high = (float(value) for value in np.percentile(seconds, [5, 50, 95]))
    return {"ms": round(1000 * middle, 3), "p05_ms": round(1000 * low, 3), "p95_ms": round(1000 * high, 3)}


def _texts(rows: int, longest: int, tokens: int, generator: torch.Generator) -> Tensor:
    """Ids of texts between half of the longest and the longest."""
    ids = torch.randint(1, tokens, (rows, longest), generator=generator)
    lengths = torch.randint((longest + 1) // 2, longest + 1, (rows, 1), generator=generator)
    lengths[0] = longest
    return ids.masked_fill(torch.arange(longest) >= lengths, 0)
