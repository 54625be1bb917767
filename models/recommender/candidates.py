"""Which items are scored at all, where a catalogue has too many to score each for every answer.

What the sparse parts reach from the history are candidates, and so are the nearest items by the dense parts together: their
vectors stand side by side, and a query's are scaled as the blend scales them, so that one inner product is the dense part of the
score. FAISS (Douze et al. 2024) finds the largest among inverted lists. Shapes: I items, d dimensions in all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from configs.schema import PositiveInt, StrictModel
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.readings import TINY, Floats, Reading


class CandidatesConfig(StrictModel):
    """Which items are scored where a catalogue is large."""

    exact: PositiveInt = Field(50_000, description="items up to which every one is scored: an index saves little below")
    nearest: PositiveInt = Field(
        2000, description="nearest items by vectors, and most popular ones, that are scored; they held all of the exact best 20"
    )
    probed: PositiveInt = Field(32, description="inverted lists that a search looks through")


@dataclass(frozen=True)
class Candidates:
    """An index over the dense parts' vectors; `popular` are candidates of everyone."""

    index: Any
    popular: NDArray[np.int64]
    nearest: int

    @classmethod
    def of(cls, recommender: Recommender, config: CandidatesConfig) -> Self | None:
        """None where every item can be scored."""
        if len(recommender.items) <= config.exact:
            return None
        popular, vectors = np.argsort(-recommender.items.buyers, kind="stable")[: config.nearest], item_vectors(recommender)
        return cls(inverted(vectors, config.probed) if vectors.shape[1] else None, popular, config.nearest)

    def find(self, readings: Mapping[str, Reading], weights: Mapping[str, float]) -> NDArray[np.int64]:
        """Items worth scoring for the one history that was read, in ascending order."""
        found = [self.popular, *(sparse.rows.indices for reading in readings.values() for sparse in reading.sparse)]
        if self.index is not None:
            _, nearest = self.index.search(queries(readings, weights), self.nearest)
            found.append(nearest[0][nearest[0] >= 0])
        return np.unique(np.concatenate(found)).astype(np.int64)


def item_vectors(recommender: Recommender) -> Floats:
    """The items' vectors of the dense parts that count, side by side [I, d]."""
    nobody = Histories(np.zeros(2, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))
    nothing = np.zeros((len(recommender.items), 0), dtype=np.float32)
    tables = [dense.vectors.items for reading in recommender.read(nobody).values() for _, dense in reading.dense]
    return np.ascontiguousarray(np.concatenate([nothing, *tables], axis=1))


def queries(readings: Mapping[str, Reading], weights: Mapping[str, float]) -> Floats:
    """What meets `item_vectors` [B, d]: the inner product is what these parts add to the scores of B histories."""
    found = [
        dense.query * (weights[name] * share / np.maximum(dense.spread(), TINY))[:, None]
        for name, reading in readings.items()
        for share, dense in reading.dense
    ]
    return np.ascontiguousarray(np.concatenate(found, axis=1), dtype=np.float32)


def inverted(vectors: Floats, probed: int) -> Any:
    """An index of inverted lists, about √I of them, by inner product."""
    import faiss

    lists = int(2 ** round(np.log2(max(4.0, np.sqrt(len(vectors))))))
    index: Any = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
    sample = vectors[:: max(1, len(vectors) // (64 * lists))]
    index.train(np.ascontiguousarray(sample))
    index.add(np.ascontiguousarray(vectors))
    index.nprobe = min(probed, lists)
    return index
