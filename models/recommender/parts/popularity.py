"""The same for everyone: the logarithm of how many bought an item. Decides where nothing else is known.

Shapes: B users, I items.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from models.recommender.answers import ReasonKind
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.part import Choice, Explanation, NoConfig, Part, Purchases, Settings
from models.recommender.readings import ConstantReading, Floats, Reading


@dataclass(frozen=True)
class Popularity(Part[NoConfig]):
    """`buyers` are float32 [I]."""

    buyers: Floats

    label: ClassVar[str] = "Popularity"
    reason: ClassVar[ReasonKind] = "popular"
    order: ClassVar[int] = 90
    fallback: ClassVar[bool] = True

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[NoConfig]) -> Self:
        """There is nothing to choose."""
        return cls(purchases.items.buyers)

    def refit(self, purchases: Purchases, settings: Settings[NoConfig]) -> Self:
        """See `fit`."""
        return type(self)(purchases.items.buyers)

    def read(self, histories: Histories) -> Reading:
        """See `Part`."""
        return ConstantReading(self._row, len(histories))

    @cached_property
    def _row(self) -> Floats:
        found: Floats = np.log1p(self.buyers).astype(np.float32)
        return found

    def explain(self, items: Items, item: int, because: int | None, named: int) -> Explanation:
        """How many bought the item itself."""
        buyers = int(items.buyers[item])
        return Explanation(self.reason, f"Bought by {buyers:,} users." if buyers else "New in the catalogue.")


PART = Popularity
