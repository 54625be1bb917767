"""Episodes: small classification problems drawn from types, as a shop would teach them (Vinyals et al. 2016).

Shapes: N products, D features, W ways (classes of an episode), K shots (examples a class), S strangers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from configs.errors import VitrinaError
from configs.schema import PositiveInt, StrictModel

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]
Photos = NDArray[np.uint8]

MAX_WAYS, MAX_SHOTS = 20, 20
"""Classes of an episode, and examples of each, at most; two classes and one example at least."""


class EpisodesConfig(StrictModel):
    """How episodes are drawn."""

    queries: PositiveInt = Field(15, description="products asked about of each class, at most; never one of its examples")
    strangers: int = Field(15, ge=0, description="products of types outside of the episode that are asked about as well")
    choosing: PositiveInt = Field(200, description="meta-validation episodes on which each choice is made")
    measuring: PositiveInt = Field(600, description="meta-test episodes that a version is measured on")
    seed: int = Field(17, ge=0, description="seeds the draws: the same episodes for the same pool")


@dataclass(frozen=True)
class Pool:
    """Products of the types that episodes are drawn from.

    Attributes:
        features: float32 [N, D], unit length.
        codes: int64 [N], places in `types`.
        types: Names of the article types.
        product_ids: [N].
        photos: uint8 [N, H, W, 3], small; None where no learner reads photos.
        has_photo: bool [N]; without one the row of `photos` is black.
    """

    features: Floats
    codes: Codes
    types: tuple[str, ...]
    product_ids: NDArray[Any]
    photos: Photos | None = None
    has_photo: NDArray[np.bool_] | None = None

    @cached_property
    def rows(self) -> list[Codes]:
        """Products of each type, ascending."""
        order = np.argsort(self.codes, kind="stable")
        ends = np.cumsum(np.bincount(self.codes, minlength=len(self.types)))[:-1]
        return [np.sort(part) for part in np.split(order, ends)]

    @cached_property
    def with_photo(self) -> "Pool":
        """The products that have a photo, of the types that keep two of them or more; photos must be held."""
        assert self.photos is not None and self.has_photo is not None
        seen = np.bincount(self.codes[self.has_photo], minlength=len(self.types))
        return self.where(self.has_photo & (seen[self.codes] >= 2))

    def where(self, kept: NDArray[np.bool_]) -> "Pool":
        """The products that are `kept` [N]; types without any are left out."""
        there = np.unique(self.codes[kept])
        renamed = np.full(len(self.types), -1, dtype=np.int64)
        renamed[there] = np.arange(len(there))
        return Pool(
            self.features[kept],
            renamed[self.codes[kept]],
            tuple(self.types[code] for code in there),
            self.product_ids[kept],
            None if self.photos is None else self.photos[kept],
            None if self.has_photo is None else self.has_photo[kept],
        )

    def of_types(self, names: Sequence[str]) -> "Pool":
        """The products of some types."""
        wanted = set(names)
        return self.where(np.array([name in wanted for name in self.types], dtype=bool)[self.codes])


@dataclass(frozen=True)
class Episode:
    """Rows of a pool: what is taught, what is asked, and what is none of the classes.

    Attributes:
        types: int64 [W], which type each class is.
        support: int64 [W · K], class by class.
        support_codes: int64 [W · K], in 0…W-1.
        query: int64 [Q], disjoint from `support`.
        query_codes: int64 [Q], in 0…W-1.
        strangers: int64 [S], of types that are no class.
    """

    types: Codes
    support: Codes
    support_codes: Codes
    query: Codes
    query_codes: Codes
    strangers: Codes

    @property
    def ways(self) -> int:
        """Number of classes."""
        return len(self.types)


def episodes(pool: Pool, ways: int, shots: int, count: int, config: EpisodesConfig) -> Iterator[Episode]:
    """`count` episodes, the same for the same pool, numbers and seed; the n-th does not depend on how many are drawn.

    Types are drawn evenly among those with more than `shots` products, and products evenly within a type. Strangers are drawn
    evenly among the other types, then within them; there are none where the episode takes all types.

    Raises:
        VitrinaError: wrong ways or shots, or fewer types with enough products than ways.
    """
    if not 2 <= ways <= MAX_WAYS or not 1 <= shots <= MAX_SHOTS:
        raise VitrinaError(f"{ways} ways, {shots} shots: allowed are 2 to {MAX_WAYS} ways and 1 to {MAX_SHOTS} shots")
    enough = possible(pool, shots)
    if len(enough) < ways:
        raise VitrinaError(f"{ways} ways, {shots} shots: only {len(enough)} types have more than {shots} products")
    for place in range(count):
        yield draw(pool, enough, ways, shots, np.random.default_rng((config.seed, ways, shots, place)), config)


def possible(pool: Pool, shots: int) -> Codes:
    """Types [n] of which an episode can be made: they have a product to ask about beside `shots` examples."""
    return np.flatnonzero(np.array([len(rows) for rows in pool.rows]) > shots)


def draw(pool: Pool, enough: Codes, ways: int, shots: int, rng: np.random.Generator, config: EpisodesConfig) -> Episode:
    """One episode of `ways` of the types `enough`, each of which has more than `shots` products."""
    types = rng.choice(enough, ways, replace=False)
    shuffled = [rng.permutation(pool.rows[code]) for code in types]
    queries = [rows[shots : shots + config.queries] for rows in shuffled]
    others = np.setdiff1d(np.arange(len(pool.types)), types)
    asked = rng.choice(others, config.strangers) if len(others) else others
    return Episode(
        types,
        np.concatenate([rows[:shots] for rows in shuffled]),
        np.repeat(np.arange(ways), shots),
        np.concatenate(queries),
        np.repeat(np.arange(ways), [len(rows) for rows in queries]),
        np.array([rng.choice(pool.rows[code]) for code in asked], dtype=np.int64),
    )
