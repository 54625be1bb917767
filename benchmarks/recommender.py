"""What benchmarks of the recommender share: its configuration, and the blend as one vector an item, for vector search."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.load import environment_file, load
from models.recommender.attention import Attention
from models.recommender.config import RecommenderRunConfig
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.parts import Floats, Part, Projection

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def configuration(overrides: Sequence[str] = ()) -> RecommenderRunConfig:
    """As `vitrina train recommender --set …` loads it."""
    return load(RecommenderRunConfig, environment_file("base", "recommender"), overrides)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds: p50, p95, p99 and the worst."""
    names = ("p50", "p95", "p99", "max")
    return {name: round(1000 * float(v), 2) for name, v in zip(names, np.percentile(seconds, [50, 95, 99, 100]), strict=True)}


class Vectors:
    """The counting parts that score by an inner product, weighed, as one vector an item and one a history.

    A part's spread over the items follows from the mean and the second moment of its vectors, so no item is scored for it. What
    has no vectors is left out: the sparse matrices of neighbours, the paths of attention, popularity. Attention's cosine counts
    as if it and the paths were uncorrelated.

    Attributes:
        items: float32 [I, D].
    """

    def __init__(self, recommender: Recommender) -> None:
        self.longest, self.weights = recommender.longest, recommender.weights
        self.parts = {name: part for name, part in recommender.counting.items() if hasattr(part, "query")}
        tables = [_answering(part) for part in self.parts.values()]
        self.items: Floats = np.ascontiguousarray(np.concatenate(tables, axis=1), dtype=np.float32)
        self._moments = [(t.mean(axis=0, dtype=np.float64), (t.T @ t).astype(np.float64) / len(t)) for t in tables]

    def queries(self, histories: Histories) -> Floats:
        """What meets `items` [B, D]: the inner product is the weighed sum of the parts' scores over their spread."""
        read, found = histories.newest(self.longest), []
        for (name, part), (mean, square) in zip(self.parts.items(), self._moments, strict=True):
            query: NDArray[np.float64] = part.query(read).astype(np.float64)  # type: ignore[attr-defined]
            variance = ((query @ square) * query).sum(axis=1) - (query @ mean) ** 2
            share = part.share / np.sqrt(1 + part.share**2) if isinstance(part, Attention) else 1.0
            found.append(query * (self.weights[name] * share / np.sqrt(np.maximum(variance, 1e-24)))[:, None])
        return np.ascontiguousarray(np.concatenate(found, axis=1), dtype=np.float32)


def _answering(part: Part) -> Floats:
    """The vectors of the items that are scored."""
    found: Floats = part.answering if isinstance(part, Projection) else part.items  # type: ignore[attr-defined]
    return found
