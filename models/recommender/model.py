"""The recommender: parts that score every item from a user's history, and the weights at which they count.

Notable features:
- no part knows users: a history goes in, a score of every item comes out. New purchases, unknown users and sessions need no
  training, and what is evaluated is what is served
- a file a part in `parts/`, by name: co-purchases with degrees damped apart for users and items, EASE, transitions, the low-pass
  filter of the graph, matrix factorisation, graph attention over users, items and attributes, self-attention over the order of
  purchases, content (attributes in common, or embeddings of a product model), popularity
- each score over its spread, times a weight learned on purchases that were held out (`blend`)

Shapes: B users, I items, P parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.part import Part
from models.recommender.readings import Floats, Reading, scaled


@dataclass(frozen=True)
class Recommender:
    """Parts by name, and the weight of each; those of weight 0 are kept for comparison.

    Attributes:
        features: float32 [I, d], unit vectors by which items are alike: diversity is measured and made by them.
        longest: Newest items of a history that are read.
    """

    items: Items
    parts: Mapping[str, Part[Any]]
    weights: Mapping[str, float]
    features: Floats
    longest: int

    @property
    def counting(self) -> dict[str, Part[Any]]:
        """Parts that count."""
        return {name: part for name, part in self.parts.items() if self.weights[name] > 0}

    def contributions(self, histories: Histories, items: NDArray[Any] | None = None) -> dict[str, Floats]:
        """What each counting part adds to the scores of every item [B, I], or of some `items` [B, n]."""
        return self.weighed(self.read(histories), items)

    def read(self, histories: Histories) -> dict[str, Reading]:
        """What each counting part makes of the histories."""
        newest = histories.newest(self.longest)
        return {name: part.read(newest) for name, part in self.counting.items()}

    def weighed(self, readings: Mapping[str, Reading], items: NDArray[Any] | None = None) -> dict[str, Floats]:
        """What each reading adds to the scores; see `contributions`."""
        return {
            name: self.weights[name] * scaled(reading.all() if items is None else reading.at(items), reading.spread())
            for name, reading in readings.items()
        }

    def scores(self, histories: Histories) -> Floats:
        """Scores [B, I]: the sum of the contributions."""
        total = np.zeros((len(histories), len(self.items)), dtype=np.float32)
        for added in self.contributions(histories).values():
            total += added
        return total

    def matrices(self) -> list[csr_matrix]:
        """Item to item weights [I, I] of the counting parts that have some."""
        found = (part.item_weights for part in self.counting.values())
        return [matrix for matrix in found if matrix is not None]

    @property
    def fallback(self) -> str:
        """Name of the first fallback among the parts."""
        return next(name for name, part in self.parts.items() if part.fallback)

    def scores_of(self, part: str, histories: Histories) -> Floats:
        """Scores [B, I] of one part alone."""
        return self.parts[part].scores(histories.newest(self.longest))
