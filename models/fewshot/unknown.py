"""None of these: whether a product belongs to any of the classes that were taught, without an example of what does not.

How near the nearest class is says little alone: classes are wide or narrow, and were taught by few or many examples. So a
distance is learned from meta-train types: some are taught, others play strangers, and a logistic regression tells them apart by
how near the nearest class is, how near any base type outside of the task, how near the class's own examples lie, and by their
number. Its bound is set on meta-validation types so that a stated share of members is rejected, without a look at strangers.
Shapes: m queries, W classes, D features, B base types, n examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from configs.schema import PositiveInt, Share, StrictModel
from models.arrays import State
from models.fewshot.base_types import BaseTypes
from models.fewshot.calibration import SHOTS, choosing_episodes, support_of
from models.fewshot.episodes import Codes, Episode, EpisodesConfig, Floats, Pool
from models.fewshot.learner import Pools, Support
from models.fewshot.learners.shrunk_prototypes import ShrunkPrototypes

COLUMNS = ("nearest", "second", "nearest base type", "own examples", "shots")


class UnknownConfig(StrictModel):
    """When a product is none of the classes."""

    false_rejection: Share = Field(0.05, description="share of members of the classes that may be called none of these")
    rival: float = Field(
        0.8,
        ge=-1.0,
        le=1.0,
        description="a base type whose cosine with a class is higher is taken for that class: it speaks against no member",
    )
    episodes: PositiveInt = Field(100, description="episodes for each number of shots, to learn from and to set the bound by")


@dataclass(frozen=True)
class Evidence:
    """What is measured of each query.

    Attributes:
        values: float32 [m, 5], `COLUMNS`.
        familiarity: float32 [m], cosine with the nearest base type, whichever.
    """

    values: Floats
    familiarity: Floats

    @property
    def similarity(self) -> Floats:
        """Cosine [m] with the nearest class."""
        return self.values[:, 0]


@dataclass(frozen=True)
class Unknown:
    """The learned distance and its bounds.

    Attributes:
        weights: float32 [5], of standardised `COLUMNS`.
        middle, spread: float32 [5], by which they are standardised.
        shots: float32 [k], ascending numbers of shots.
        bounds: float32 [k]: members below are rejected.
    """

    weights: Floats
    middle: Floats
    spread: Floats
    shots: Floats
    bounds: Floats
    rival: float

    @classmethod
    def fit(cls, pools: Pools, learner: ShrunkPrototypes, config: UnknownConfig, episodes: EpisodesConfig) -> Self:
        """Learn on meta-train types, set the bounds on meta-validation types.

        A bound never lies where a member is more likely than a stranger: where the two are far apart, fewer members are rejected
        than was asked for. Without a meta-train type left to play a stranger, the distance is the cosine with the nearest class.
        """
        members, strangers = [], []
        for shots in SHOTS:
            for episode in choosing_episodes(pools.train, shots, config.episodes, episodes):
                seen = _without(learner, pools.train, episode)
                members.append(_asked(pools.train, episode, episode.query, seen, config.rival))
                strangers.append(_asked(pools.train, episode, episode.strangers, seen, config.rival))
        weights, middle, spread, indifferent = _told_apart(np.concatenate(members), np.concatenate(strangers))
        bounds = {}
        scale = cls(weights, middle, spread, np.ones(1, np.float32), np.zeros(1, np.float32), config.rival)
        for shots in SHOTS:
            drawn = choosing_episodes(pools.validation, shots, config.episodes, episodes)
            if drawn:
                found = [scale._score(_asked(pools.validation, e, e.query, learner, config.rival)) for e in drawn]
                bounds[shots] = min(indifferent, float(np.quantile(np.concatenate(found), config.false_rejection)))
        table = bounds or {1: -np.inf}
        return cls(
            weights,
            middle,
            spread,
            np.array(list(table), dtype=np.float32),
            np.array(list(table.values()), dtype=np.float32),
            config.rival,
        )

    def stranger(self, evidence: Evidence) -> Floats:
        """How sure it is [m] that each query is none of the classes, 0 to 1; above 0.5 it is rejected."""
        shots = np.exp(evidence.values[:, COLUMNS.index("shots")])
        bounds = np.interp(np.log(np.maximum(shots, 1.0)), np.log(self.shots), self.bounds)
        return np.asarray(expit(bounds - self._score(evidence.values)), dtype=np.float32)

    def _score(self, values: Floats) -> Floats:
        """How much [m] speaks for a member; log odds on meta-train types."""
        return np.asarray(((values - self.middle) / self.spread) @ self.weights, dtype=np.float32)

    def state(self) -> State:
        """Arrays, for a bundle."""
        named = ("weights", "middle", "spread", "shots", "bounds")
        return {name: getattr(self, name) for name in named} | {"rival": np.array([self.rival], dtype=np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The one that `state` was taken of.

        Raises:
            KeyError: an array is missing.
        """
        arrays = {name: state[name] for name in ("weights", "middle", "spread", "shots", "bounds")}
        return cls(**arrays, rival=float(state["rival"][0]))


@dataclass(frozen=True)
class Neighbourhood:
    """Where the classes of a task lie, and what lies beside them; the same for every query.

    Attributes:
        prototypes: float32 [W, D].
        rivals: float32 [R, D], base types that are none of the classes.
        closeness: float32 [W], mean cosine of a class's examples with the class as it is without them. With one example it is the
            mean of the other classes; where no class has two, 0.
        counts: int64 [W], examples.
    """

    base: BaseTypes
    prototypes: Floats
    rivals: Floats
    closeness: Floats
    counts: Codes

    @classmethod
    def of(cls, support: Support, learner: ShrunkPrototypes, rival: float) -> Self:
        """Of a support set of features; base types nearer than `rival` to a class are taken for that class."""
        prototypes, base = learner.raw(support).prototypes, learner.base
        rivals = base.prototypes[(base.prototypes @ prototypes.T).max(axis=1) < rival]
        own = learner.cosines_left_out(support)[np.arange(len(support.codes)), support.codes]
        known = ~np.isnan(own)
        sums = np.bincount(support.codes[known], own[known], minlength=support.ways)
        counted = np.bincount(support.codes[known], minlength=support.ways)
        mean = float(own[known].mean()) if known.any() else 0.0
        closeness = np.where(counted > 0, sums / np.maximum(counted, 1), mean).astype(np.float32)
        return cls(base, prototypes, rivals, closeness, np.bincount(support.codes, minlength=support.ways))

    def ask(self, features: Floats) -> Evidence:
        """What speaks for and against each query [m, D] belonging to a class."""
        seen = self.base.see(features)
        near = seen @ self.prototypes.T
        first, ranked = near.argmax(axis=1), np.sort(near, axis=1)
        columns = (
            ranked[:, -1],
            ranked[:, -2],
            _highest(seen, self.rivals),
            self.closeness[first],
            np.log(self.counts[first]),
        )
        return Evidence(np.stack(columns, axis=1).astype(np.float32), _highest(seen, self.base.prototypes))


def _highest(seen: Floats, prototypes: Floats) -> Floats:
    """Cosine [m] with the nearest of some prototypes; -1 where there is none."""
    return (seen @ prototypes.T).max(axis=1) if len(prototypes) else np.full(len(seen), -1.0, dtype=np.float32)


def _asked(pool: Pool, episode: Episode, rows: NDArray[np.int64], learner: ShrunkPrototypes, rival: float) -> Floats:
    return Neighbourhood.of(support_of(pool, episode, "features"), learner, rival).ask(pool.features[rows]).values


def _without(learner: ShrunkPrototypes, pool: Pool, episode: Episode) -> ShrunkPrototypes:
    """The learner as if it knew neither the episode's types nor those of its strangers: as it will be with new ones."""
    hidden = np.union1d(episode.types, np.unique(pool.codes[episode.strangers]))
    base = learner.base
    kept = np.setdiff1d(np.arange(len(base.prototypes)), hidden)
    return ShrunkPrototypes(BaseTypes(base.mean, base.whitening, base.prototypes[kept]), learner.choice, learner.temperatures)


def _told_apart(members: Floats, strangers: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Weights, middle and spread [5] of a logistic regression of two groups that count alike, and where it is indifferent."""
    values = np.concatenate([members, strangers])
    middle, spread = values.mean(axis=0), np.maximum(values.std(axis=0), np.float32(1e-6))
    if not len(strangers):
        weights = np.zeros(len(COLUMNS), dtype=np.float32)
        weights[0] = 1.0
        return weights, middle, spread, np.inf
    truth = np.repeat([1, 0], [len(members), len(strangers)])
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit((values - middle) / spread, truth)
    return fitted.coef_[0].astype(np.float32), middle, spread, -float(fitted.intercept_[0])
