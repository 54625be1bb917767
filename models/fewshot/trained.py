"""What learners that are trained on episodes have in common: a network, its training, and what a bundle holds of it."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.arrays import State, below
from models.errors import TrainingError
from models.fewshot.calibration import Temperatures
from models.fewshot.episodes import Pool
from models.fewshot.learner import Learner, Pools, Settings, Support
from models.fewshot.meta import Drill, MetaConfig, Student, meta_train
from models.fewshot.networks import prepared

Config = TypeVar("Config", bound=MetaConfig)

UNSCALED = Temperatures(np.ones(1, dtype=np.float32), np.ones(1, dtype=np.float32))
"""Of a learner whose temperatures are still to be fitted."""


class TrainedLearner(Learner[Config]):
    """A learner with a body that makes vectors.

    Its configuration offers `body`, such as `models.fewshot.networks.PhotoNetConfig`.
    """

    meta = True

    def __init__(self, weights: Any, shape: tuple[int, ...], values: Config, temperatures: Temperatures) -> None:
        """`weights`: what `fresh` made; `shape`: of what the body sees, without the rows."""
        self.weights, self.shape, self.values, self.temperatures = weights, shape, values, temperatures

    @classmethod
    @abstractmethod
    def fresh(cls, body: nn.Module, width: int, config: Config) -> nn.Module:
        """All that is learned, before it is: the body gives vectors of `width`."""

    @abstractmethod
    def loss(self, drill: Drill) -> Tensor:
        """Of a training task; gradients flow to the weights."""

    @classmethod
    def fit(cls, pools: Pools, settings: Settings[Config]) -> Self:
        """Train on episodes (`models.fewshot.meta.meta_train`), then fit the temperatures."""
        pools = Pools(cls._seen(pools.train), cls._seen(pools.validation))
        rows = pools.train.features if cls.reads == "features" else pools.train.photos
        assert rows is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            weights = cls._made(rows.shape[1:], rows.dtype, settings.config)
        learner = cls(weights, rows.shape[1:], settings.config, UNSCALED)
        name = cls.__module__.rpartition(".")[2]  # learners are called like their files
        meta_train(Student(name, cls.reads, weights, learner.loss, learner.adapt), pools, settings)
        learner.temperatures = Temperatures.fit(pools.validation, learner.adapt, settings.episodes, cls.reads)
        return learner

    @classmethod
    def _seen(cls, pool: Pool) -> Pool:
        if cls.reads == "features":
            return pool
        if pool.photos is None or pool.has_photo is None or not pool.has_photo.any():
            raise TrainingError(f"{cls.label}: none of the {len(pool.codes)} products has a photo")
        return pool.with_photo

    @classmethod
    def _made(cls, shape: tuple[int, ...], kind: Any, config: Any) -> nn.Module:
        body: nn.Module = config.body(shape)
        with torch.no_grad():
            width = body(prepared(np.zeros((1, *shape), dtype=kind))).shape[1]
        return cls.fresh(body, width, config)

    def temperature(self, support: Support) -> float:
        """What the scores of a classifier of these examples are divided by."""
        return self.temperatures.at(len(support.codes) / support.ways)

    def state(self) -> State:
        """See `Learner.state`."""
        weights = {f"weights.{name}": value.numpy() for name, value in self.weights.state_dict().items()}
        return weights | self.temperatures.state() | {"shape": np.array(self.shape, dtype=np.int64)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: Config) -> Self:
        """See `Learner.restore`."""
        shape = tuple(int(side) for side in state["shape"])
        weights = cls._made(shape, np.float32 if cls.reads == "features" else np.uint8, config)
        weights.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in below("weights.", state).items()})
        return cls(weights, shape, config, Temperatures.restore(state))
