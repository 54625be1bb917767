"""Items bought by the same users: the linear filter of GF-CF (Shen et al. 2021), with degrees damped apart for users and items.

The filter is C = D^(-(1-p)) (Xᵀ diag(n_u^(-2q)) X) D^(-p) without its diagonal; GF-CF fixes both powers at 1/2.
Shapes: U users, I items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import Field

from configs.schema import StrictModel
from models.recommender.answers import ReasonKind
from models.recommender.bases import SparsePart
from models.recommender.neighbours import co_purchases, damped_by_items
from models.recommender.part import Choice, Purchases, Settings


class CoPurchaseConfig(StrictModel):
    """Items bought by the same users, normalised apart for users and items."""

    user_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="a user with n items counts n to the power of -2p")
    item_powers: tuple[float, ...] = Field((0.2, 0.3, 0.4, 0.5), description="an item with n buyers is damped by n to the -p")


@dataclass(frozen=True)
class CoPurchase(SparsePart[CoPurchaseConfig]):
    """Sums of the filter's rows; `user_power` is q and `item_power` p."""

    user_power: float
    item_power: float

    label: ClassVar[str] = "Bought by the same users"
    reason: ClassVar[ReasonKind] = "bought_together"
    sentence: ClassVar[str] = "Goes with {title}: the same users buy both."
    order: ClassVar[int] = 10
    config: ClassVar[type[StrictModel]] = CoPurchaseConfig

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[CoPurchaseConfig]) -> Self:
        """Both powers together, then the decay."""
        part = choice.best(cls._tried(purchases, choice.middle_decay, settings))
        return choice.best(part.fading(decay) for decay in choice.decays)

    @classmethod
    def _tried(cls, purchases: Purchases, decay: float, settings: Settings[CoPurchaseConfig]) -> Iterator[Self]:
        for user_power in settings.config.user_powers:
            counts = co_purchases(purchases.matrix, user_power, settings.neighbours)
            for item_power in settings.config.item_powers:
                yield cls(damped_by_items(counts, purchases.items.buyers, item_power), decay, user_power, item_power)

    def refit(self, purchases: Purchases, settings: Settings[CoPurchaseConfig]) -> Self:
        """With the same powers and decay."""
        counts = co_purchases(purchases.matrix, self.user_power, settings.neighbours)
        matrix = damped_by_items(counts, purchases.items.buyers, self.item_power)
        return type(self)(matrix, self.decay, self.user_power, self.item_power)


PART = CoPurchase
