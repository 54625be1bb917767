"""Whether title, description and photo each belong to the rest of the listing: one model for all three.

Each part says by itself which article type it shows and where it lies among others. How probable it finds the type on which all
agree, and how near it lies to the nearest other part, are turned into ranks among good listings, part by part, as descriptions
agree less than photos do. One curve for each judges these ranks of every part alike, so that a part which was never seen to be
wrong in training can still be found wrong.

Shapes: n listings, Q quantiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.quality.monotone import Floats, Monotone

PARTS = ("title", "description", "image")
SWAPPED = {"title": "swapped_title", "description": "swapped_description", "image": "mismatched_image"}
"""The fault by which a part belongs to another listing."""
SATURATES = (0.25, 0.25)
"""Ranks of good listings beyond which a part is no better: their worst quarter alone is judged."""
_QUANTILES = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Belonging:
    """A fitted model.

    Attributes:
        quantiles: (2, Q) of each part that good listings have: log probability of the agreed type, largest cosine.
        model: Of their ranks.
    """

    quantiles: Mapping[str, Floats]
    model: Monotone

    @classmethod
    def fit(cls, good: Mapping[str, Floats], bad: Mapping[str, Floats]) -> Self | None:
        """Learn from evidence (n, 2) of parts that belong and of parts that do not; None where no part is seen not to."""
        quantiles = {part: np.stack([_quantiles(column) for column in rows.T]) for part, rows in good.items() if len(rows)}
        seen = [part for part, rows in bad.items() if len(rows) and part in quantiles]
        if not seen:
            return None
        fine = np.concatenate([_ranks(good[part], quantiles[part]) for part in seen])
        wrong = np.concatenate([_ranks(bad[part], quantiles[part]) for part in seen])
        return cls(quantiles, Monotone.fit(fine, wrong, SATURATES))

    def score(self, part: str, evidence: Floats) -> Floats:
        """0 to 1 (n,) of evidence (n, 2) of one part; 1 for a part that no good listing had."""
        if part not in self.quantiles:
            return np.ones(len(evidence))
        return self.model.score(_ranks(evidence, self.quantiles[part]))

    def state(self) -> dict[str, NDArray[Any]]:
        """What `restore` reads."""
        return {**{f"quantiles.{part}": held for part, held in self.quantiles.items()}, **self.model.state()}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `state` gave."""
        held = {name.removeprefix("quantiles."): value for name, value in state.items() if name.startswith("quantiles.")}
        return cls(held, Monotone.restore(state))


def _quantiles(column: Floats) -> Floats:
    there = column[~np.isnan(column)]
    return np.asarray(np.quantile(there, _QUANTILES)) if len(there) else np.zeros(len(_QUANTILES))


def _ranks(evidence: Floats, quantiles: Floats) -> Floats:
    """Share of good listings (n, 2) that are worse; what lies below all of them, the farther the lower, below 0."""
    found = np.stack([np.interp(evidence[:, j], quantiles[j], _QUANTILES) for j in range(2)], axis=1)
    below = np.minimum(evidence - quantiles[:, 0], 0.0)
    return np.asarray(np.where(np.isnan(evidence), np.nan, found + below))
