"""A small product model, and batches of random listings and reviews for it."""

from typing import Any

import torch

from catalog.corruption import KINDS
from configs.load import validate
from models.product.config import ProductModelConfig
from models.product.inputs import Batch, Inputs, Reviews, Sizes
from models.product.model import ProductModel
from models.product.parts import FACTS, PRIOR_SEGMENTS
from models.product.priors.neighbours import NAMES

SIZES = Sizes(tokens=300, names=10, values=20, levels=(3, 4, 6))
PATHS = torch.tensor([[1, 1, 1], [1, 1, 2], [1, 2, 3], [2, 3, 4], [2, 3, 5]])
SMALL: dict[str, Any] = {
    "preset": "tiny",
    "width": 32,
    "layers": 2,
    "heads": 2,
    "mlp_hidden": 48,
    "vocab_size": 300,
    "title_tokens": 7,
    "description_tokens": 11,
    "review_tokens": 11,
    "ending_tokens": 3,
    "image_height": 32,
    "image_width": 32,
    "photo_widths": (4, 8, 8, 16),
    "photo_blocks": (1, 1, 1, 1),
    "embedding_dim": 64,
}
TERMS = {
    *("article_type", "sub_category", "master_category", "price"),
    *("contrastive", "embedding_type", "quality", "sentiment"),
}
"""Terms of the training loss."""

PLAIN: dict[str, Any] = {
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "modality_dropout": dict.fromkeys(("title", "description", "image", "attributes", "price", "categories"), 0.0),
}
"""Settings under which a training step is what validation sees."""


def small(**values: Any) -> ProductModelConfig:
    """The smallest configuration that has everything."""
    return validate(ProductModelConfig, SMALL | values, where="test")


def fresh(seed: int = 0, **values: Any) -> ProductModel:
    """As training begins."""
    torch.manual_seed(seed)
    return ProductModel(small(**values), SIZES, PATHS, photo_lessons=True).eval()


def model(**values: Any) -> ProductModel:
    """In evaluation mode, with random weights everywhere: no branch or head is zero."""
    built = fresh(**values)
    for parameter in built.parameters():
        if parameter.ndim:
            torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


def listings(rows: int = 5, seed: int = 0) -> Inputs:
    """Complete listings."""
    g = torch.Generator().manual_seed(seed)
    return Inputs(
        title=torch.randint(1, 300, (rows, 7), generator=g),
        description=torch.randint(1, 300, (rows, 11), generator=g),
        image=torch.randint(0, 256, (rows, 3, 32, 32), generator=g, dtype=torch.uint8),
        has_image=torch.ones(rows, dtype=torch.bool),
        names=torch.randint(1, 10, (rows, 4), generator=g),
        values=torch.randint(0, 20, (rows, 4), generator=g),
        price=torch.randn(rows, generator=g),
        categories=PATHS[torch.randint(len(PATHS), (rows,), generator=g)],
        price_prior=torch.randn(rows, len(PRIOR_SEGMENTS), generator=g),
        neighbours=torch.cat([torch.ones(rows, 1), torch.randn(rows, len(NAMES) - 1, generator=g)], dim=1),
        facts=5 * torch.rand(rows, len(FACTS), generator=g),
        title_prior=torch.randn(rows, SIZES.levels[-1], generator=g).log_softmax(-1),
    )


def reviews(rows: int = 4, seed: int = 0) -> Reviews:
    """Reviews whose writers say everything."""
    g = torch.Generator().manual_seed(seed)
    return Reviews(
        title=torch.randint(1, 300, (rows, 7), generator=g),
        text=torch.randint(1, 300, (rows, 11), generator=g),
        prior=torch.randn(rows, generator=g),
        recommended=(torch.arange(rows) % 2).float(),
        rating=torch.randint(1, 6, (rows,), generator=g).float(),
    )


def batch(rows: int = 8, faulty: int = 2, told: int = 4, seed: int = 0) -> Batch:
    """Listings of which the last `faulty` have a fault, each of another kind, and reviews."""
    faults = torch.zeros(rows, len(KINDS), dtype=torch.bool)
    for i in range(faulty):
        faults[rows - 1 - i, i % len(KINDS)] = True
    return Batch(listings(rows, seed), faults, reviews(told, seed))
