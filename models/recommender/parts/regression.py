"""EASE (Steck 2019): ridge regression of every item on all others, in closed form. Shapes: U users, I items."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.recommender.answers import ReasonKind
from models.recommender.bases import SparsePart
from models.recommender.neighbours import strongest
from models.recommender.part import Choice, Purchases, Settings
from models.recommender.readings import Floats


class RegressionConfig(StrictModel):
    """EASE (Steck 2019): ridge regression of every item on all others, in closed form."""

    ridges: tuple[PositiveFloat, ...] = Field((20.0, 60.0, 200.0), description="penalties to choose from")
    item_powers: tuple[float, ...] = Field((0.0, 0.1, 0.2), description="popular items are damped by buyers to the -p")
    max_items: PositiveInt = Field(20_000, description="not fitted on more: its matrix has items × items cells")


@dataclass(frozen=True)
class Regression(SparsePart[RegressionConfig]):
    """Sums of the strongest coefficients of each item; `item_power` damps those towards popular ones."""

    ridge: float
    item_power: float

    label: ClassVar[str] = "Item regression (EASE)"
    reason: ClassVar[ReasonKind] = "bought_together"
    sentence: ClassVar[str] = "Goes with {title}: the same users buy both."
    order: ClassVar[int] = 20
    config: ClassVar[type[StrictModel]] = RegressionConfig

    @classmethod
    def possible(cls, purchases: Purchases, config: RegressionConfig) -> bool:
        """Where a dense matrix [I, I] can be inverted."""
        return len(purchases.items) <= config.max_items

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[RegressionConfig]) -> Self:
        """Penalty and power together, then the decay."""
        part = choice.best(cls._tried(purchases, choice.middle_decay, settings))
        return choice.best(part.fading(decay) for decay in choice.decays)

    @classmethod
    def _tried(cls, purchases: Purchases, decay: float, settings: Settings[RegressionConfig]) -> Iterator[Self]:
        for ridge in settings.config.ridges:
            weights = regression(purchases.matrix, ridge)
            for power in settings.config.item_powers:
                yield cls(damped(weights, purchases.items.buyers, power, settings.neighbours), decay, ridge, power)

    def refit(self, purchases: Purchases, settings: Settings[RegressionConfig]) -> Self:
        """With the same penalty, power and decay."""
        weights = regression(purchases.matrix, self.ridge)
        matrix = damped(weights, purchases.items.buyers, self.item_power, settings.neighbours)
        return type(self)(matrix, self.decay, self.ridge, self.item_power)


def regression(x: csr_matrix, ridge: float) -> Floats:
    """B [I, I] with X ≈ X B, a zero diagonal and the penalty `ridge`: B = I - P diag(P)⁻¹, P = (XᵀX + ridge I)⁻¹."""
    gram = torch.from_numpy((x.T @ x).toarray().astype(np.float32))
    gram.diagonal().add_(ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    weights = inverse / -inverse.diagonal()
    weights.fill_diagonal_(0.0)
    found: Floats = weights.numpy()
    return found


def damped(weights: Floats, buyers: Floats, power: float, keep: int) -> csr_matrix:
    """B diag(n^-p) [I, I], the `keep` strongest of each row."""
    return strongest((weights * np.maximum(buyers, 1.0) ** -power).astype(np.float32), keep)


PART = Regression
