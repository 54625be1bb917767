"""What is bought after what, nearer purchases counting more; only where the order is known. Shapes: I items."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from configs.schema import PositiveInt, Share, StrictModel
from models.recommender.answers import ReasonKind
from models.recommender.bases import SparsePart
from models.recommender.interactions import Histories
from models.recommender.neighbours import damped_by_items, largest, without_diagonal
from models.recommender.part import Choice, Purchases, Settings


class TransitionsConfig(StrictModel):
    """What is bought after what; only where the order is known."""

    window: PositiveInt = Field(20, description="items that an item looks ahead")
    fading: Share = Field(0.85, description="factor for each place further away")
    backwards: Share = Field(0.5, description="what is bought before counts this much of what is bought after")
    item_powers: tuple[float, ...] = Field((0.1, 0.2, 0.3, 0.4), description="an item with n buyers is damped by n to the -p")


@dataclass(frozen=True)
class Transitions(SparsePart[TransitionsConfig]):
    """Sums of the damped counts; `item_power` damps those towards popular items."""

    item_power: float

    label: ClassVar[str] = "Bought after each other"
    reason: ClassVar[ReasonKind] = "bought_next"
    sentence: ClassVar[str] = "Often follows {title}."
    order: ClassVar[int] = 50
    config: ClassVar[type[StrictModel]] = TransitionsConfig

    @classmethod
    def possible(cls, purchases: Purchases, config: TransitionsConfig) -> bool:
        """Where the order is known."""
        return purchases.ordered

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[TransitionsConfig]) -> Self:
        """The power, then the decay."""
        part = choice.best(cls._tried(purchases, choice.middle_decay, settings))
        return choice.best(part.fading(decay) for decay in choice.decays)

    @classmethod
    def _tried(cls, purchases: Purchases, decay: float, settings: Settings[TransitionsConfig]) -> Iterator[Self]:
        counts = transitions(purchases.histories, len(purchases.items), settings.config, settings.neighbours)
        for power in settings.config.item_powers:
            yield cls(damped_by_items(counts, purchases.items.buyers, power), decay, power)

    def refit(self, purchases: Purchases, settings: Settings[TransitionsConfig]) -> Self:
        """With the same power and decay."""
        counts = transitions(purchases.histories, len(purchases.items), settings.config, settings.neighbours)
        return type(self)(damped_by_items(counts, purchases.items.buyers, self.item_power), self.decay, self.item_power)


def transitions(histories: Histories, items: int, config: TransitionsConfig, keep: int) -> csr_matrix:
    """How often an item is bought after another [I, I], nearer ones counting more, `keep` a row."""
    ends = np.repeat(histories.offsets[1:], histories.lengths)
    places = np.arange(len(histories.items))
    total = csr_matrix((items, items), dtype=np.float32)
    for gap in range(1, config.window + 1):
        before = places[places + gap < ends]
        if not len(before):
            break
        value = (config.fading ** (gap - 1) * histories.weights[before] * histories.weights[before + gap]).astype(np.float32)
        pairs = (histories.items[before], histories.items[before + gap])
        total = total + csr_matrix((value, pairs), shape=(items, items))
    total = total + config.backwards * total.T
    return largest(without_diagonal(total.tocsr(), 0), keep)


PART = Transitions
