"""What is known of the types that `product` was trained on: where they lie among its features.

Shapes: n products, D features, B base types, m queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.arrays import State
from models.fewshot.episodes import Floats, Pool


@dataclass(frozen=True)
class BaseTypes:
    """Features seen from the middle of the base types, and the base types seen so.

    Centring takes out what all products have in common, by which everything looks alike (Wang et al. 2019, SimpleShot). Whitening
    takes out how products of one type differ from each other, so that what tells types apart counts (Fisher's discriminant, with
    the shrinkage of Ledoit & Wolf 2004 as a choice).

    Attributes:
        mean: float32 [D], the mean of the types' means: each type counts alike.
        whitening: float32 [D, D], symmetric; empty [0, 0] where features are not whitened.
        prototypes: float32 [B, D], unit length, of the base types.
    """

    mean: Floats
    whitening: Floats
    prototypes: Floats

    @classmethod
    def of(cls, pool: Pool, shrinkage: float = 1.0) -> Self:
        """Of the types of a pool. `shrinkage` in (0, 1] draws the covariance within types to a round one; 1 whitens nothing."""
        means = np.stack([pool.features[rows].mean(axis=0) for rows in pool.rows])
        mean = means.mean(axis=0).astype(np.float32)
        whitening = _whitening(pool, means, shrinkage) if shrinkage < 1.0 else np.zeros((0, 0), dtype=np.float32)
        seen = cls(mean, whitening, np.zeros((0, len(mean)), dtype=np.float32))
        prototypes = [seen.see(pool.features[rows]).mean(axis=0) for rows in pool.rows]
        return cls(mean, whitening, unit(np.stack(prototypes)))

    def see(self, features: NDArray[Any]) -> Floats:
        """Unit vectors [n, D] of features [n, D]: centred, whitened where that was chosen."""
        centred = features - self.mean
        return unit(centred @ self.whitening if len(self.whitening) else centred)

    def seen(self) -> "BaseTypes":
        """The same types for features that were seen already: `see` leaves those as they are."""
        return BaseTypes(np.zeros_like(self.mean), np.zeros((0, 0), dtype=np.float32), self.prototypes)

    def state(self) -> State:
        """Arrays, for a bundle."""
        return {"mean": self.mean, "whitening": self.whitening, "prototypes": self.prototypes}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Those that `state` was taken of.

        Raises:
            KeyError: an array is missing.
        """
        return cls(state["mean"], state["whitening"], state["prototypes"])


def _whitening(pool: Pool, means: Floats, shrinkage: float) -> Floats:
    """Inverse root [D, D] of the covariance within types, each type counting alike."""
    within = np.zeros((means.shape[1], means.shape[1]))
    for mean, rows in zip(means, pool.rows, strict=True):
        apart = (pool.features[rows] - mean).astype(np.float64)
        within += apart.T @ apart / len(rows)
    within /= len(means)
    size = np.trace(within) / len(within)
    values, vectors = np.linalg.eigh((1.0 - shrinkage) * within + shrinkage * size * np.eye(len(within)))
    found: Floats = ((vectors / np.sqrt(np.maximum(values, 1e-12 * size))) @ vectors.T).astype(np.float32)
    return found


def unit(vectors: NDArray[Any]) -> Floats:
    """Rows of unit length; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
