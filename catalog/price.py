"""Prices on the scale on which they are predicted: standardised logarithms."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from catalog.errors import CatalogueError

_MIN_STD = 1e-3


@dataclass(frozen=True)
class PriceScaler:
    """Standardises the natural logarithm of a price.

    Attributes:
        mean: Mean of log(price) over the training prices.
        std: Their standard deviation; at least 0.001, so that equal prices do not divide by zero.
    """

    mean: float
    std: float

    @classmethod
    def fit(cls, prices: ArrayLike) -> "PriceScaler":
        """Fit on the prices that are positive and finite.

        Raises:
            CatalogueError: there is none.
        """
        values = np.asarray(prices, dtype=np.float64)
        logs = np.log(values[np.isfinite(values) & (values > 0)])
        if logs.size == 0:
            raise CatalogueError(f"none of {values.size} prices is positive; a price scale needs at least one")
        return cls(mean=float(logs.mean()), std=max(float(logs.std()), _MIN_STD))

    def transform(self, prices: ArrayLike) -> NDArray[np.float32]:
        """Standardised log of each price; NaN where it is missing or not positive."""
        values = np.asarray(prices, dtype=np.float64)
        logs = np.full(values.shape, np.nan)
        np.log(values, out=logs, where=values > 0)
        return ((logs - self.mean) / self.std).astype(np.float32)

    def inverse(self, scaled: ArrayLike) -> NDArray[np.float64]:
        """Prices in the catalogue's currency."""
        prices: NDArray[np.float64] = np.exp(np.asarray(scaled, dtype=np.float64) * self.std + self.mean)
        return prices

    def to_dict(self) -> dict[str, float]:
        """What `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PriceScaler":
        """Read back what `to_dict` wrote.

        Raises:
            CatalogueError: a number is missing or no number.
        """
        try:
            mean, std = float(values["mean"]), float(values["std"])
        except (KeyError, TypeError, ValueError) as error:
            raise CatalogueError(f"price scale needs numbers mean and std, not {dict(values)!r}") from error
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise CatalogueError(f"price scale has mean {mean} and std {std}; both must be finite, std positive")
        return cls(mean, std)
