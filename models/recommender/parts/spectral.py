"""The low-pass filter of the graph of users and items: what remains of a history in the largest singular vectors.

After GF-CF (Shen et al. 2021), with degrees damped by other powers than 1/2. Shapes: B users, I items, d dimensions.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from configs.schema import PositiveInt, StrictModel
from models.recommender.answers import ReasonKind
from models.recommender.bases import DensePart
from models.recommender.decomposition import ITERATIONS, damped, singular_vectors
from models.recommender.interactions import Histories
from models.recommender.part import Choice, Purchases, Settings
from models.recommender.readings import Floats


class SpectralConfig(StrictModel):
    """Low-pass filter of the graph of users and items: its largest singular vectors."""

    dimensions: PositiveInt = Field(512, description="singular vectors kept")
    user_power: float = Field(0.4, ge=0.0, description="a user with n items is damped by n to the -p")
    item_power: float = Field(0.45, ge=0.0, description="an item with n buyers is damped by n to the -p")
    answer_power: float = Field(
        0.4,
        ge=0.0,
        description="an item with n buyers is read with n to the -p and scored with n to the p: what sells is bought next more",
    )
    iterations: PositiveInt = Field(ITERATIONS, description="power iterations of the randomised decomposition")


@dataclass(frozen=True)
class Spectral(DensePart[SpectralConfig]):
    """The filter in its two factors.

    Attributes:
        sources: float32 [I, d], vectors of items that are had.
        answers: float32 [I, d], vectors of items that are scored.
        decay: Rate at which older items count less.
    """

    sources: Floats
    answers: Floats
    decay: float

    label: ClassVar[str] = "Low-pass filter of the graph"
    reason: ClassVar[ReasonKind] = "bought_together"
    sentence: ClassVar[str] = "Goes with {title}: the same users buy both."
    order: ClassVar[int] = 30
    config: ClassVar[type[StrictModel]] = SpectralConfig

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[SpectralConfig]) -> Self:
        """The decay alone is chosen."""
        part = cls(*low_pass(purchases.matrix, settings.config, settings.trainer.seed), 0.0)
        return choice.best(replace(part, decay=decay) for decay in choice.decays)

    def refit(self, purchases: Purchases, settings: Settings[SpectralConfig]) -> Self:
        """With the same decay."""
        return type(self)(*low_pass(purchases.matrix, settings.config, settings.trainer.seed), self.decay)

    def query(self, histories: Histories) -> Floats:
        """Sum of the vectors of what the user has [B, d]."""
        found: Floats = histories.matrix(len(self.sources), self.decay) @ self.sources
        return found

    @property
    def targets(self) -> Floats:
        """See `DensePart`."""
        return self.answers


def low_pass(x: csr_matrix, config: SpectralConfig, seed: int) -> tuple[Floats, Floats]:
    """Vectors of items as they are read and as they are scored, [I, d] each, d at most the smaller side of X."""
    buyers = np.maximum(np.asarray((x > 0).sum(axis=0)).ravel(), 1).astype(np.float32)
    vectors = singular_vectors(damped(x, config.user_power, config.item_power), config.dimensions, seed, config.iterations)
    scale = buyers[:, None] ** config.answer_power
    return (vectors / scale).astype(np.float32), (vectors * scale).astype(np.float32)


PART = Spectral
