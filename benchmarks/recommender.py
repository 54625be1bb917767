"""What benchmarks of the recommender share: its configuration, and the blend as one vector an item, for vector search."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.load import environment_file, load
from models.recommender import candidates
from models.recommender.config import RecommenderRunConfig
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.readings import Floats

DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def configuration(overrides: Sequence[str] = ()) -> RecommenderRunConfig:
    """As `vitrina train recommender --set …` loads it."""
    return load(RecommenderRunConfig, environment_file("base", "recommender"), overrides)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds: p50, p95, p99 and the worst."""
    names = ("p50", "p95", "p99", "max")
    return {name: round(1000 * float(v), 2) for name, v in zip(names, np.percentile(seconds, [50, 95, 99, 100]), strict=True)}


class Vectors:
    """What of a blend is inner products, weighed and over its spread, as one vector an item and one a history.

    What has no vectors is left out: the sparse matrices of neighbours, the paths of attention, popularity.

    Attributes:
        items: float32 [I, D].
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender, self.items = recommender, candidates.item_vectors(recommender)

    def queries(self, histories: Histories) -> Floats:
        """What meets `items` [B, D]: the inner product is what these parts add to the scores."""
        return candidates.queries(self.recommender.read(histories), self.recommender.weights)
