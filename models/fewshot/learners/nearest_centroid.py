"""The class whose mean is nearest by cosine: what features do without any learning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from configs.schema import StrictModel
from models.arrays import State
from models.fewshot.base_types import unit
from models.fewshot.calibration import Temperatures
from models.fewshot.episodes import Floats, Photos
from models.fewshot.learner import Adapted, Learner, Pools, Settings, Support


class NearestCentroid(Learner[StrictModel]):
    """The peer that every other learner has to beat."""

    label = "Nearest centroid"
    order = 40

    def __init__(self, temperatures: Temperatures) -> None:
        self.temperatures = temperatures

    @classmethod
    def fit(cls, pools: Pools, settings: Settings[StrictModel]) -> Self:
        """Nothing but the temperatures."""
        return cls(Temperatures.fit(pools.validation, lambda support: Centroids(_centroids(support), 1.0), settings.episodes))

    def adapt(self, support: Support) -> "Centroids":
        """Class means of the features as they are."""
        return Centroids(_centroids(support), self.temperatures.at(len(support.codes) / support.ways))

    def adapted(self, state: Mapping[str, NDArray[Any]]) -> "Centroids":
        """See `Learner.adapted`."""
        return Centroids(state["centroids"], float(state["temperature"][0]))

    def state(self) -> State:
        """See `Learner.state`."""
        return self.temperatures.state()

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: StrictModel) -> Self:
        """See `Learner.restore`."""
        return cls(Temperatures.restore(state))


@dataclass(frozen=True)
class Centroids(Adapted):
    """Cosines with class means, divided by a temperature.

    Attributes:
        centroids: float32 [W, D], unit length.
        temperature: What the cosines are divided by.
    """

    centroids: Floats
    temperature: float

    def logits(self, inputs: Floats | Photos) -> Floats:
        """See `Adapted.logits`."""
        return np.asarray(inputs @ self.centroids.T / self.temperature, dtype=np.float32)

    def state(self) -> State:
        """See `Adapted.state`."""
        return {"centroids": self.centroids, "temperature": np.array([self.temperature], dtype=np.float32)}


def _centroids(support: Support) -> Floats:
    sums = np.zeros((support.ways, support.inputs.shape[1]), dtype=np.float64)
    np.add.at(sums, support.codes, support.inputs)
    return np.asarray(unit(sums), dtype=np.float32)


LEARNER = NearestCentroid
