"""Probabilities out of scores: a temperature for each number of shots, fitted on meta-validation episodes (Guo et al. 2017).

Shapes: m queries, W classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from models.arrays import State
from models.fewshot.episodes import Codes, Episode, EpisodesConfig, Floats, Pool, episodes, possible
from models.fewshot.learner import Adapted, Support

SHOTS = (1, 2, 5, 10, 20)
"""Numbers of shots at which temperatures and bounds are fitted; between them they are interpolated."""
WAYS = 5
"""Classes of the episodes that choices are made on; fewer where there are fewer types."""
EPISODES = 60
"""Episodes behind each temperature: it is one number."""
LIMITS = (1e-3, 1e3)
"""Of a temperature."""

Reads = Literal["features", "photos"]


@dataclass(frozen=True)
class Temperatures:
    """What scores are divided by, for each of some numbers of shots.

    Attributes:
        shots: float32 [k], ascending.
        values: float32 [k], > 0.
    """

    shots: Floats
    values: Floats

    @classmethod
    def fit(cls, pool: Pool, adapt: Callable[[Support], Adapted], config: EpisodesConfig, reads: Reads = "features") -> Self:
        """Where the likelihood of meta-validation queries is highest; `adapt` gives raw scores as `logits`.

        A number of shots that the pool has no episode for is left out; where there is none at all, scores stay as they are.
        """
        found: dict[int, float] = {}
        for shots in SHOTS:
            drawn = choosing_episodes(pool, shots, EPISODES, config)
            if drawn:
                told = [scored(pool, episode, adapt, reads) for episode in drawn]
                found[shots] = fit_temperature(told)
        table = found or {1: 1.0}
        return cls(np.array(list(table), dtype=np.float32), np.array(list(table.values()), dtype=np.float32))

    def at(self, shots: float) -> float:
        """The temperature for so many examples a class, interpolated on a log scale, the nearest beyond the ends."""
        found = np.interp(np.log(max(shots, 1.0)), np.log(self.shots), np.log(self.values))
        return float(np.exp(found))

    def state(self) -> State:
        """Arrays, for a bundle."""
        return {"shots": self.shots, "temperatures": self.values}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """Those that `state` was taken of.

        Raises:
            KeyError: an array is missing.
        """
        return cls(state["shots"], state["temperatures"])


def choosing_episodes(pool: Pool, shots: int, count: int, config: EpisodesConfig) -> list[Episode]:
    """Episodes of `WAYS` classes, of fewer where the pool has fewer types with enough products; none below two."""
    ways = min(WAYS, len(possible(pool, shots)))
    return list(episodes(pool, ways, shots, count, config)) if ways >= 2 else []


def inputs(pool: Pool, rows: Codes, reads: Reads) -> Any:
    """What a learner sees of some products: features float32 [n, D], or photos uint8 [n, H, V, 3]."""
    if reads == "features":
        return pool.features[rows]
    assert pool.photos is not None, "the pool holds no photos"
    return pool.photos[rows]


def support_of(pool: Pool, episode: Episode, reads: Reads) -> Support:
    """What an episode teaches."""
    return Support(inputs(pool, episode.support, reads), episode.support_codes, episode.ways)


def scored(pool: Pool, episode: Episode, adapt: Callable[[Support], Adapted], reads: Reads) -> tuple[Floats, Codes]:
    """Scores [m, W] of an episode's queries, and their classes [m]."""
    return adapt(support_of(pool, episode, reads)).logits(inputs(pool, episode.query, reads)), episode.query_codes


def fit_temperature(told: Sequence[tuple[Floats, Codes]], prior: float = 1.0, strength: float = 0.0) -> float:
    """The temperature at which the mean log likelihood of all rows is highest.

    Args:
        told: Scores [m, W] and classes [m] of each of some problems.
        prior: Where it is drawn to.
        strength: As many rows as a temperature e times as high or low as `prior` costs nats for.
    """

    def loss(log_temperature: float) -> float:
        total = 0.0
        for scores, codes in told:
            total -= float(log_softmax(scores / np.exp(log_temperature), axis=1)[np.arange(len(codes)), codes].sum())
        return total + strength * (log_temperature - float(np.log(prior))) ** 2

    low, high = np.log(LIMITS[0]), np.log(LIMITS[1])
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def accuracy(told: Sequence[tuple[Floats, Codes]]) -> float:
    """Mean over problems of the share of rows whose class scores highest."""
    return float(np.mean([(scores.argmax(axis=1) == codes).mean() for scores, codes in told]))
