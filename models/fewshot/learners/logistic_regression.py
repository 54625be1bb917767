"""Logistic regression on the features of the examples, as one would try first with scikit-learn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.arrays import State
from models.fewshot.calibration import SHOTS, Temperatures, accuracy, choosing_episodes, scored
from models.fewshot.episodes import Floats, Photos
from models.fewshot.learner import Adapted, Learner, Pools, Settings, Support


class LogisticRegressionConfig(StrictModel):
    """What is tried on meta-validation episodes."""

    inverse_penalty: tuple[PositiveFloat, ...] = Field(
        (1.0, 10.0, 100.0), min_length=1, description="scikit-learn's C: how little weights are drawn to 0; the best is kept"
    )
    episodes: PositiveInt = Field(
        60, description="episodes of each number of shots that it is chosen on: each one is a solver's run"
    )
    max_iterations: PositiveInt = Field(1000, description="of the solver; it stops when it has converged")


class LogisticRegression(Learner[LogisticRegressionConfig]):
    """A linear classifier of each task's own; classes count the same, however many examples they have.

    Shapes: n examples, D features, W classes.
    """

    label = "Logistic regression"
    order = 50
    config = LogisticRegressionConfig
    folds = 5  # each is a solver's run

    def __init__(self, inverse_penalty: float, max_iterations: int, temperatures: Temperatures | None = None) -> None:
        self.inverse_penalty, self.max_iterations, self.temperatures = inverse_penalty, max_iterations, temperatures

    @classmethod
    def fit(cls, pools: Pools, settings: Settings[LogisticRegressionConfig]) -> Self:
        """Choose C by the mean accuracy over all numbers of shots on meta-validation episodes; of equals the smallest."""
        config, pool = settings.config, pools.validation
        drawn = [choosing_episodes(pool, shots, config.episodes, settings.episodes) for shots in SHOTS]
        reached: dict[float, float] = {}
        for penalty in sorted(config.inverse_penalty):
            adapt = cls(penalty, config.max_iterations).adapt
            reached[penalty] = sum(accuracy([scored(pool, one, adapt, "features") for one in of]) for of in drawn if of)
        best = max(reached, key=lambda penalty: reached[penalty])
        raw = cls(best, config.max_iterations)
        return cls(best, config.max_iterations, Temperatures.fit(pool, raw.adapt, settings.episodes))

    def adapt(self, support: Support) -> "Linear":
        """One run of the solver, in the span of the examples, where the weights lie anyway (the representer theorem)."""
        from sklearn.linear_model import LogisticRegression as Regression  # seconds, which who only reads the settings is spared

        solver = Regression(C=self.inverse_penalty, class_weight="balanced", max_iter=self.max_iterations)
        directions, inside = np.linalg.qr(support.inputs.T.astype(np.float64))
        solver.fit(inside.T, support.codes)
        weights, biases = solver.coef_ @ directions.T, solver.intercept_
        if support.ways == 2:  # scikit-learn gives one row, for the second class against the first
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        temperature = self.temperatures.at(len(support.codes) / support.ways) if self.temperatures else 1.0
        return Linear(np.asarray(weights, dtype=np.float32), np.asarray(biases, dtype=np.float32), temperature)

    def adapted(self, state: Mapping[str, NDArray[Any]]) -> "Linear":
        """See `Learner.adapted`."""
        return Linear(state["weights"], state["biases"], float(state["temperature"][0]))

    def state(self) -> State:
        """See `Learner.state`."""
        assert self.temperatures is not None
        return self.temperatures.state() | {"inverse_penalty": np.array([self.inverse_penalty], dtype=np.float64)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], config: LogisticRegressionConfig) -> Self:
        """See `Learner.restore`."""
        return cls(float(state["inverse_penalty"][0]), config.max_iterations, Temperatures.restore(state))


@dataclass(frozen=True)
class Linear(Adapted):
    """A linear classifier, its scores divided by a temperature.

    Attributes:
        weights: float32 [W, D].
        biases: float32 [W].
        temperature: What the scores are divided by.
    """

    weights: Floats
    biases: Floats
    temperature: float

    def logits(self, inputs: Floats | Photos) -> Floats:
        """See `Adapted.logits`."""
        return np.asarray((inputs @ self.weights.T + self.biases) / self.temperature, dtype=np.float32)

    def state(self) -> State:
        """See `Adapted.state`."""
        told = np.array([self.temperature], dtype=np.float32)
        return {"weights": self.weights, "biases": self.biases, "temperature": told}


LEARNER = LogisticRegression
