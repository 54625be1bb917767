"""What a learner has to offer; how to add one stands in `models.fewshot.learners`.

A learner is meta-trained once on episodes of the meta-train types; then it adapts to a support set, which takes milliseconds and
leaves it as it was. Nothing else knows its name: learners are found by file.
Shapes: n examples, m queries, W ways, D features, H × V × 3 photos.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError
from configs.schema import StrictModel
from models.arrays import State
from models.fewshot import learners
from models.fewshot.episodes import Codes, EpisodesConfig, Floats, Photos, Pool

FOLDS = 20
"""Times that a support set is learned again, at most, to see how well an example is told from the others."""


class NoConfig(StrictModel):
    """Of a learner without values of its own: it has no section in the configuration."""


Config = TypeVar("Config", bound=StrictModel)


@dataclass(frozen=True)
class Support:
    """What is taught: each class has an example at least.

    Attributes:
        inputs: Features float32 [n, D], or photos uint8 [n, H, V, 3], whichever the learner reads.
        codes: int64 [n], in 0…ways-1.
        ways: Number of classes.
    """

    inputs: Floats | Photos
    codes: Codes
    ways: int

    def at(self, rows: NDArray[Any]) -> "Support":
        """Some of the examples."""
        return Support(self.inputs[rows], self.codes[rows], self.ways)


@dataclass(frozen=True)
class Pools:
    """What a learner is made of: the types that it learns from, and those that it chooses by."""

    train: Pool
    validation: Pool


@dataclass(frozen=True)
class Settings(Generic[Config]):
    """What a learner is meta-trained with.

    Attributes:
        config: Its own section of the configuration.
        workdir: A folder of its own, for checkpoints.
        loggers: Lightning's.
        ranks: Processes that share the tasks of an update.
    """

    config: Config
    episodes: EpisodesConfig
    seed: int
    workdir: Path
    loggers: Sequence[Any] = ()
    ranks: int = 1


class Adapted(ABC):
    """A classifier of W classes that was made of a support set. Safe to use from several threads."""

    @abstractmethod
    def logits(self, inputs: Floats | Photos) -> Floats:
        """Float32 [m, W]; their softmax gives calibrated probabilities."""

    @abstractmethod
    def state(self) -> State:
        """Arrays from which the learner restores it."""


class Learner(ABC, Generic[Config]):
    """A way to make a classifier of a handful of examples.

    Attributes:
        label: What reports call it.
        reads: What of a product it sees.
        order: Learners are listed in ascending order, then by name.
        config: Its section of the configuration, which is called like its file.
        meta: Whether it is trained on episodes; the others are arithmetic.
        folds: Times that `left_out` learns again at most; fewer where adapting takes long.
    """

    label: ClassVar[str]
    reads: ClassVar[Literal["features", "photos"]] = "features"
    order: ClassVar[int] = 100
    config: ClassVar[type[StrictModel]] = NoConfig
    meta: ClassVar[bool] = False
    folds: ClassVar[int] = FOLDS

    @classmethod
    @abstractmethod
    def fit(cls, pools: Pools, settings: Settings[Config]) -> Self:
        """Meta-train on episodes of `pools.train`, choose among several values by episodes of `pools.validation`.

        Raises:
            VitrinaError: too few types or products for an episode.
        """

    @abstractmethod
    def adapt(self, support: Support) -> Adapted:
        """A classifier of the classes of `support`; the same support gives the same classifier."""

    @abstractmethod
    def adapted(self, state: Mapping[str, NDArray[Any]]) -> Adapted:
        """The classifier that `state` was taken of.

        Raises:
            KeyError, ValueError: the arrays are not those of a classifier of this learner.
        """

    @abstractmethod
    def state(self) -> State:
        """What a bundle stores."""

    @classmethod
    @abstractmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: Config) -> Self:
        """The learner that `state` was taken of.

        Raises:
            KeyError, ValueError, RuntimeError: the arrays do not fit each other, or another configuration.
        """

    def left_out(self, support: Support) -> Floats:
        """Logits [n, W] of each example by a classifier that has not seen it; NaN where it is the only one of its class.

        Leave-one-out up to `folds` examples, so many folds beyond.
        """
        rows = np.arange(len(support.codes))
        found = np.full((len(rows), support.ways), np.nan, dtype=np.float32)
        counts = np.bincount(support.codes, minlength=support.ways)
        places = _places(support.codes)
        folds = np.where(counts[support.codes] > 1, places % min(self.folds, len(rows)), -1)
        for fold in np.unique(folds[folds >= 0]):
            out = folds == fold
            remaining = np.bincount(support.codes[~out], minlength=support.ways)
            out &= remaining[support.codes] > 0
            if out.any():
                found[out] = self.adapt(support.at(rows[~out])).logits(support.inputs[out])
        return found


def _places(codes: Codes) -> Codes:
    """A place [n] for each example, class after class within a round: folds take examples of all classes evenly."""
    order = np.argsort(codes, kind="stable")
    places = np.empty(len(codes), dtype=np.int64)
    places[order] = np.arange(len(codes))
    return places


def names() -> list[str]:
    """Learners that exist, by file, in their order."""
    found = [module.name for module in pkgutil.iter_modules(learners.__path__)]
    return sorted(found, key=lambda name: (get(name).order, name))


def get(name: str) -> type[Learner[Any]]:
    """The learner called `name`: `LEARNER` of its file.

    Raises:
        ConfigError: no such learner.
    """
    existing = sorted(module.name for module in pkgutil.iter_modules(learners.__path__))
    if name not in existing:
        raise ConfigError(f"learner {name!r} does not exist; allowed: {', '.join(existing)}")
    learner: type[Learner[Any]] = importlib.import_module(f"{learners.__name__}.{name}").LEARNER
    return learner
