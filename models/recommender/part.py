"""What a part of the blend has to offer; how to add one stands in `models.recommender.parts`.

A part scores every item from a user's history. It knows no users, so that a new purchase changes the next answer without
training, and a user who was never seen is no special case. Nothing else knows its name: parts are found by file.
Shapes: B users, U training users, I items, d dimensions.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from configs.errors import ConfigError
from configs.schema import StrictModel, TrainerConfig
from models.arrays import State, fields_restored, fields_state
from models.recommender import parts
from models.recommender.answers import ReasonKind
from models.recommender.held_out import HeldOut, quality
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.readings import Floats, Reading


class NoConfig(StrictModel):
    """Of a part without values of its own: it has no section in the configuration."""


Config = TypeVar("Config", bound=StrictModel)
AnyPart = TypeVar("AnyPart", bound="Part[Any]")


@dataclass(frozen=True)
class Purchases:
    """What parts are fitted on: histories, the items with their buyers among them, and content [I, d] where there is some."""

    histories: Histories
    items: Items
    content: Floats | None
    ordered: bool

    @cached_property
    def matrix(self) -> csr_matrix:
        """Users × items [U, I], weights."""
        return self.histories.matrix(len(self.items))


@dataclass(frozen=True)
class Choice:
    """How a part chooses its own values: by nDCG@places of what `held` users bought next.

    Attributes:
        decays: Rates at which older items may count less; 0 alone where no order is known.
    """

    held: HeldOut
    places: int
    decays: tuple[float, ...]

    @property
    def middle_decay(self) -> float:
        """A decay to choose other values at."""
        return self.decays[len(self.decays) // 2]

    def quality(self, part: "Part[Any]") -> float:
        """NDCG@places of a part alone."""
        return quality(part.scores, self.held, self.places)

    def best(self, tried: Iterable[AnyPart]) -> AnyPart:
        """The first of those that rank best; only it is kept in memory, and one alone is not measured."""
        others = iter(tried)
        best, reached = next(others), None
        for part in others:
            reached = self.quality(best) if reached is None else reached
            found = self.quality(part)
            if found > reached:
                best, reached = part, found
        return best


@dataclass(frozen=True)
class Settings(Generic[Config]):
    """What a part is fitted with.

    Attributes:
        config: Its own section of the configuration.
        neighbours: Similar items that are kept of each item.
        workdir: A folder of its own, for checkpoints.
        loggers: Lightning's.
    """

    config: Config
    neighbours: int
    trainer: TrainerConfig
    workdir: Path
    loggers: Sequence[Any] = ()


@dataclass(frozen=True)
class Explanation:
    """Why an item is recommended, for a person; `attributes` are those in common, where they are the reason."""

    kind: ReasonKind
    text: str
    attributes: tuple[str, ...] = ()


class Part(ABC, Generic[Config]):
    """A score of every item from any history.

    Attributes:
        label: What reports call it.
        reason: Kind of the reasons that it gives.
        sentence: Text of such a reason; `{title}` is the item of the history that it rests on.
        order: Parts are fitted and listed in ascending order, then by name.
        config: Its section of the configuration.
        section: What that is called, if not like the part.
        fallback: Fitted whatever the configuration says and never without weight, for items of which nothing else is known; it
            explains what no item of the history explains.
    """

    label: ClassVar[str]
    reason: ClassVar[ReasonKind]
    sentence: ClassVar[str] = ""
    order: ClassVar[int] = 100
    config: ClassVar[type[StrictModel]] = NoConfig
    section: ClassVar[str] = ""
    fallback: ClassVar[bool] = False

    @classmethod
    def possible(cls, purchases: Purchases, config: Config) -> bool:
        """Whether it can be fitted on these purchases."""
        return True

    @classmethod
    @abstractmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[Config]) -> "Part[Config]":
        """Fit on training purchases, and choose among several values by held-out ones."""

    @abstractmethod
    def refit(self, purchases: Purchases, settings: Settings[Config]) -> "Part[Config]":
        """A part fitted on more purchases, with what this one chose; not asked of a part that was restored."""

    @abstractmethod
    def read(self, histories: Histories) -> Reading:
        """Scores of B users, and their spread over the items, by which parts become comparable."""

    def scores(self, histories: Histories) -> Floats:
        """Scores [B, I]."""
        return self.read(histories).all()

    def state(self) -> State:
        """What a bundle stores; by default the fields of a dataclass."""
        return fields_state(self)

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: Config, items: Items) -> "Part[Config]":
        """The part that `state` was taken of.

        Raises:
            KeyError: an array is missing.
            ValueError, RuntimeError: the arrays do not fit each other, or another configuration.
        """
        return fields_restored(cls, state)

    @property
    def item_weights(self) -> csr_matrix | None:
        """Weights [I, I] from an item of the history to one that is scored, where it has some: reasons are looked for by them."""
        return None

    def explain(self, items: Items, item: int, because: int | None, named: int) -> Explanation:
        """The reason for `item`: the item `because` of the history, None for a fallback; at most `named` attributes."""
        assert because is not None, "only a fallback explains without a history"
        return Explanation(self.reason, self.sentence.format(title=items.title(because)))


def names() -> list[str]:
    """Parts that exist, by file, in their order."""
    found = [module.name for module in pkgutil.iter_modules(parts.__path__)]
    return sorted(found, key=lambda name: (get(name).order, name))


def get(name: str) -> type[Part[Any]]:
    """The part called `name`: `PART` of its file.

    Raises:
        ConfigError: no such part.
    """
    existing = sorted(module.name for module in pkgutil.iter_modules(parts.__path__))
    if name not in existing:
        raise ConfigError(f"part {name!r} does not exist; allowed: {', '.join(existing)}")
    part: type[Part[Any]] = importlib.import_module(f"{parts.__name__}.{name}").PART
    return part
