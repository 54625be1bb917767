"""Made-up pools for tests of the few-shot model: types in clusters, with photos told apart by colour and stripes."""

from collections.abc import Iterable, Sequence

import numpy as np

from catalog.listing import Listing
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig
from models.fewshot.episodes import Floats, Pool
from models.fewshot.learner import Pools

HEIGHT, WIDTH = 20, 16
EVALUATION = EvaluationConfig(bootstrap_samples=60, latency_calls=4, min_slice_rows=5)


def pool(
    types: int = 8, products: int = 12, features: int = 16, spread: float = 1.2, seed: int = 0, photos: bool = False
) -> Pool:
    """`products` of each type, unit vectors around the type's centre; every seventh has no photo."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(types), products)
    rows = rng.normal(size=(types, features))[codes] + spread * rng.normal(size=(len(codes), features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    there = np.arange(len(codes)) % 7 != 6
    return Pool(
        rows.astype(np.float32),
        codes,
        tuple(f"type {seed}.{code}" for code in range(types)),
        np.arange(len(codes)),
        _photos(codes, types, rng) * there[:, None, None, None].astype(np.uint8) if photos else None,
        there if photos else None,
    )


def _photos(codes: np.ndarray, types: int, rng: np.random.Generator) -> np.ndarray:
    colours = rng.uniform(40, 215, size=(types, 3))
    stripes = rng.integers(2, 6, size=types)
    across = rng.random(types) < 0.5
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    place = np.where(across[:, None, None], rows, columns)
    pattern = (place // stripes[:, None, None]) % 2 * 60.0 - 30.0
    clean = colours[:, None, None, :] + pattern[..., None]
    return np.clip(clean[codes] + rng.normal(scale=12, size=(len(codes), HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)


def pools(photos: bool = False, **values: float) -> Pools:
    """Other types for training than for choosing."""
    return Pools(pool(seed=1, photos=photos, **values), pool(seed=2, photos=photos, **values))  # type: ignore[arg-type]


class TableEmbedder:
    """Features from a table: a listing's title is its row."""

    name = "product"
    words = 0

    def __init__(self, table: Floats, types: Iterable[str] = ()) -> None:
        self.table, self.types = table, frozenset(types)

    def features(self, listings: Sequence[Listing]) -> Floats:
        for place, listing in enumerate(listings):
            if not self.embeds(listing):
                raise VitrinaError(f"listing {place} says nothing")
        return self.table[[int(listing.title or "") for listing in listings]]

    def embeds(self, listing: Listing) -> bool:
        return bool(listing.title)


def listings(rows: Iterable[int]) -> list[Listing]:
    """What `TableEmbedder` reads as these rows."""
    return [Listing(title=str(row)) for row in rows]
