"""What similar listings cost: the nearest training rows of a listing in its words, as features of the price head.

A listing's hashed TF-IDF blocks (`models.product.priors.linear`) are each folded into a few signed dimensions, which keeps inner
products in expectation (count sketch, Charikar et al. 2002), and searched with FAISS. A row is never its own neighbour.

Shapes: b queries, n rows, d dimensions, k neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.product.priors.linear import Block

K = 32
TEMPERATURES = (0.01, 0.03, 0.1)
FEATURES = (
    "known",
    *(f"{what} at {t:g}" for t in TEMPERATURES for what in ("mean", "spread")),
    "first",
    "second",
    "third",
    "median of 8",
)
SIMILARITIES = ("similarity of the first", "of the fifth", "of the sixteenth")
NAMES = (*FEATURES, *SIMILARITIES)
MEAN = NAMES.index("mean at 0.03")
"""The feature that is an estimate by itself."""

SIZES = {
    "title.word": (128, 1.0),
    "title.char_wb": (64, 0.5),
    "description.word": (128, 1.0),
    "attributes.exact": (128, 1.0),
    "sub_category.exact": (64, 0.3),
    "article_type.exact": (64, 0.5),
}
"""Dimensions of each block, and its weight in the similarity."""


@dataclass(frozen=True)
class Neighbours:
    """Training rows: vectors (n, d) of unit length, standardised log prices (n,), and a number (n,) that names each row."""

    vectors: NDArray[np.float16]
    prices: NDArray[np.float32]
    keys: NDArray[np.uint64]

    def features(self, queries: NDArray[np.float32], keys: NDArray[np.uint64] | None = None) -> NDArray[np.float32]:
        """`NAMES` of each query (b, d), (b, 14); all 0 where a query says nothing. Rows with the query's key are passed over."""
        wanted = min(K + (SPARE if keys is not None else 0), len(self.prices))
        near, where = self._index.search(np.ascontiguousarray(queries), wanted)
        if keys is not None:
            near = np.where(self.keys[where] == keys[:, None], -np.inf, near)
            order = np.argsort(-near, axis=1, kind="stable")[:, :K]
            near, where = np.take_along_axis(near, order, axis=1), np.take_along_axis(where, order, axis=1)
        return _summary(near, self.prices[where], np.asarray(queries.any(axis=1)))

    @cached_property
    def _index(self) -> Any:
        index = faiss.IndexFlatIP(self.vectors.shape[1])
        index.add(self.vectors.astype(np.float32))
        return index

    def __getstate__(self) -> dict[str, Any]:
        return {"vectors": self.vectors, "prices": self.prices, "keys": self.keys}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is saved; keys stay behind, as no later query is a training row."""
        return {"vectors": self.vectors, "prices": self.prices}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Neighbours":
        """Read back what `arrays` gave."""
        return cls(arrays["vectors"], arrays["prices"], np.zeros(len(arrays["prices"]), dtype=np.uint64))


SPARE = 32
"""More neighbours are asked for where some may be the row itself or its copies."""


def sketch(blocks: Sequence[Block], features: Sequence[csr_matrix]) -> NDArray[np.float32]:
    """Unit vectors (n, d) of TF-IDF blocks, 0 for a row that says nothing."""
    parts = []
    for block, matrix in zip(blocks, features, strict=True):
        if block.name in SIZES:
            size, weight = SIZES[block.name]
            parts.append(np.sqrt(np.float32(weight)) * np.asarray((matrix @ folding(matrix.shape[1], size)).todense()))
    joined = np.concatenate(parts, axis=1).astype(np.float32)
    unit: NDArray[np.float32] = joined / np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-9)
    return unit


@lru_cache(maxsize=32)
def folding(columns: int, size: int) -> csr_matrix:
    """Which dimension each column adds to, and with which sign: multiplicative hashing (Knuth 1973)."""
    mixed = (np.arange(columns, dtype=np.uint64) * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    place = (mixed >> np.uint64(8)) % np.uint64(size)
    sign = np.where((mixed >> np.uint64(31)) & np.uint64(1), 1.0, -1.0).astype(np.float32)
    return csr_matrix((sign, (np.arange(columns), place.astype(np.int64))), shape=(columns, size))


def _summary(near: NDArray[np.float32], prices: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    columns = [np.ones(len(near), dtype=np.float32)]
    for temperature in TEMPERATURES:
        weights = np.exp((near - near[:, :1]) / temperature)
        weights /= weights.sum(axis=1, keepdims=True)
        mean = (weights * prices).sum(axis=1)
        columns += [mean, np.sqrt((weights * (prices - mean[:, None]) ** 2).sum(axis=1))]
    last = near.shape[1] - 1
    columns += [prices[:, min(i, last)] for i in range(3)] + [np.median(prices[:, :8], axis=1)]
    columns += [np.maximum(near[:, min(i, last)], 0.0) for i in (0, 4, 15)]
    return (np.stack(columns, axis=1) * known[:, None]).astype(np.float32)
