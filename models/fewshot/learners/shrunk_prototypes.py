"""Class means of centred features, drawn towards the base types that they look like: adapting is arithmetic.

With one or two examples a mean is mostly noise; the base types nearby, each the mean of hundreds of products, say in which
direction classes of this region lie (Yang et al. 2021 carry a distribution over in the same way; James & Stein 1961 is the reason
why it pays). Shapes: n examples, m queries, W classes, D features, B base types.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.arrays import State
from models.fewshot.base_types import BaseTypes, unit
from models.fewshot.calibration import SHOTS, Temperatures, accuracy, choosing_episodes, fit_temperature, scored
from models.fewshot.episodes import Codes, Floats, Photos
from models.fewshot.learner import Adapted, Learner, Pools, Settings, Support


class ShrunkPrototypesConfig(StrictModel):
    """What is tried on meta-validation episodes; the best of all pairs is kept."""

    shrinkage: tuple[float, ...] = Field(
        (1.0, 0.5, 0.2, 0.1),
        description="how far the covariance within types is drawn to a round one before features are whitened by it; 1 whitens "
        "nothing",
    )
    pull: tuple[float, ...] = Field(
        (0.0, 0.25, 0.5, 1.0, 2.0), description="examples that the base types nearby count as; 0 leaves class means alone"
    )
    neighbours: PositiveInt = Field(3, description="base types that a class mean is drawn to")
    sharpness: PositiveFloat = Field(
        10.0, description="how much more the nearest of them counts: factor on the cosine in a softmax"
    )
    temperature_rows: PositiveFloat = Field(
        5.0, description="examples that the temperature fitted on meta-validation counts as against the support's own"
    )


@dataclass(frozen=True)
class Choice:
    """What was chosen on meta-validation."""

    pull: float
    neighbours: int
    sharpness: float
    temperature_rows: float


class ShrunkPrototypes(Learner[ShrunkPrototypesConfig]):
    """The learner that answers by default."""

    label = "Shrunk prototypes"
    order = 10
    config = ShrunkPrototypesConfig

    def __init__(self, base: BaseTypes, choice: Choice, temperatures: Temperatures) -> None:
        self.base, self.choice, self.temperatures = base, choice, temperatures

    @classmethod
    def fit(cls, pools: Pools, settings: Settings[ShrunkPrototypesConfig]) -> Self:
        """Choose shrinkage and pull by the mean accuracy over all numbers of shots on meta-validation episodes."""
        config, asked = settings.config, settings.episodes
        drawn = [choosing_episodes(pools.validation, shots, asked.choosing, asked) for shots in SHOTS]
        best, reached = None, -1.0
        for shrinkage in config.shrinkage:
            base = BaseTypes.of(pools.train, shrinkage)
            seen = replace(pools.validation, features=base.see(pools.validation.features))  # once, not in each episode
            for pull in config.pull:
                choice = Choice(pull, config.neighbours, config.sharpness, config.temperature_rows)
                tried = cls(base.seen(), choice, _NO_TEMPERATURE)
                told = [accuracy([scored(seen, episode, tried.raw, "features") for episode in of]) for of in drawn if of]
                if (found := float(np.mean(told)) if told else 0.0) > reached:
                    best, reached = cls(base, choice, _NO_TEMPERATURE), found
        assert best is not None, "no shrinkage or no pull to try"
        return cls(best.base, best.choice, Temperatures.fit(pools.validation, best.raw, settings.episodes))

    def adapt(self, support: Support) -> "Prototypes":
        """Class means, and a temperature at which left-out examples are as likely as can be, drawn to that of meta-validation."""
        found, prior = self.raw(support), self.temperatures.at(len(support.codes) / support.ways)
        scores = self.cosines_left_out(support)
        known = ~np.isnan(scores[:, 0])
        told = [(scores[known], support.codes[known])]
        temperature = fit_temperature(told, prior, self.choice.temperature_rows) if known.any() else prior
        return Prototypes(self.base, found.prototypes, temperature)

    def raw(self, support: Support) -> "Prototypes":
        """Class means with cosines as scores."""
        seen = self.base.see(support.inputs)
        counts = np.bincount(support.codes, minlength=support.ways)
        sums = np.zeros((support.ways, seen.shape[1]), dtype=np.float64)
        np.add.at(sums, support.codes, seen)
        return Prototypes(self.base, self._drawn(sums, counts), 1.0)

    def left_out(self, support: Support) -> Floats:
        """See `Learner.left_out`: leave-one-out, whatever the number of examples."""
        return np.asarray(self.cosines_left_out(support) / self.adapt(support).temperature, dtype=np.float32)

    def cosines_left_out(self, support: Support) -> Floats:
        """Cosines [n, W] of each example with the classes as they are without it; NaN where it is the only one of its class."""
        seen = self.base.see(support.inputs)
        counts = np.bincount(support.codes, minlength=support.ways)
        sums = np.zeros((support.ways, seen.shape[1]), dtype=np.float64)
        np.add.at(sums, support.codes, seen)
        scores = seen @ self._drawn(sums, counts).T
        rows = np.arange(len(seen))
        without = self._drawn(sums[support.codes] - seen, counts[support.codes] - 1)
        scores[rows, support.codes] = (seen * without).sum(axis=1)
        scores[counts[support.codes] < 2] = np.nan
        return np.asarray(scores, dtype=np.float32)

    def _drawn(self, sums: NDArray[np.float64], counts: Codes) -> Floats:
        """Unit vectors [W, D] of sums [W, D] of so many examples [W], drawn to the base types nearby."""
        means = unit(sums)
        if not self.choice.pull or not len(self.base.prototypes):
            return means
        likeness = means @ self.base.prototypes.T
        kept = min(self.choice.neighbours, likeness.shape[1])
        nearest = np.argpartition(-likeness, kept - 1, axis=1)[:, :kept]
        share = softmax(self.choice.sharpness * np.take_along_axis(likeness, nearest, axis=1), axis=1)
        towards = (share[:, :, None] * self.base.prototypes[nearest]).sum(axis=1)
        return unit(means * counts[:, None] + self.choice.pull * towards)

    def adapted(self, state: Mapping[str, NDArray[Any]]) -> "Prototypes":
        """See `Learner.adapted`."""
        return Prototypes(self.base, state["prototypes"], float(state["temperature"][0]))

    def state(self) -> State:
        """See `Learner.state`."""
        chosen = np.array([self.choice.pull], dtype=np.float32)
        return self.base.state() | self.temperatures.state() | {"pull": chosen}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: ShrunkPrototypesConfig) -> Self:
        """See `Learner.restore`."""
        choice = Choice(float(state["pull"][0]), config.neighbours, config.sharpness, config.temperature_rows)
        return cls(BaseTypes.restore(state), choice, Temperatures.restore(state))


@dataclass(frozen=True)
class Prototypes(Adapted):
    """Cosines with class prototypes, divided by a temperature.

    Attributes:
        prototypes: float32 [W, D], unit length.
    """

    base: BaseTypes
    prototypes: Floats
    temperature: float

    def logits(self, inputs: Floats | Photos) -> Floats:
        """See `Adapted.logits`."""
        return np.asarray(self.base.see(inputs) @ self.prototypes.T / self.temperature, dtype=np.float32)

    def state(self) -> State:
        """See `Adapted.state`."""
        return {"prototypes": self.prototypes, "temperature": np.array([self.temperature], dtype=np.float32)}


_NO_TEMPERATURE = Temperatures(np.ones(1, dtype=np.float32), np.ones(1, dtype=np.float32))

LEARNER = ShrunkPrototypes
