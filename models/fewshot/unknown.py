"""None of these: whether a product belongs to any of the classes that were taught, without an example of what does not.

How near the nearest class is says little alone: classes are wide or narrow, and were taught by few or many examples. So a
distance is learned from meta-train types: some are taught, others play strangers, and a logistic regression tells them apart by how near
the nearest class is, how much nearer than any base type outside of the task, how near the class's own examples lie, and by the
number of examples. Its bound is set on meta-validation types so that a stated share of members is rejected; the strangers there
are not looked at. Shapes: m queries, W classes, D features, B base types, n examples.
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
from models.fewshot.episodes import Episode, EpisodesConfig, Floats, Pool
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

        Without a meta-train type left to play a stranger, the distance is the cosine with the nearest class.
        """
        members, strangers = [], []
        for shots in SHOTS:
            for episode in choosing_episodes(pools.train, shots, config.episodes, episodes):
                seen = _without(learner, pools.train, episode)
                members.append(_asked(pools.train, episode, episode.query, seen, config.rival))
                strangers.append(_asked(pools.train, episode, episode.strangers, seen, config.rival))
        weights, middle, spread = _told_apart(np.concatenate(members), np.concatenate(strangers))
        bounds = {}
        scale = cls(weights, middle, spread, np.ones(1, np.float32), np.zeros(1, np.float32), config.rival)
        for shots in SHOTS:
            drawn = choosing_episodes(pools.validation, shots, config.episodes, episodes)
            if drawn:
                found = [scale._score(_asked(pools.validation, e, e.query, learner, config.rival)) for e in drawn]
                bounds[shots] = float(np.quantile(np.concatenate(found), config.false_rejection))
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


def measure(support: Support, features: Floats, learner: ShrunkPrototypes, rival: float) -> Evidence:
    """What speaks for and against each of some queries [m, D] belonging to a class of `support`."""
    prototypes, base = learner.raw(support).prototypes, learner.base
    seen = base.see(features)
    near = seen @ prototypes.T
    first = near.argmax(axis=1)
    ranked = np.sort(near, axis=1)
    rivals = base.prototypes[(base.prototypes @ prototypes.T).max(axis=1) < rival] if len(base.prototypes) else base.prototypes
    outside = (seen @ rivals.T).max(axis=1) if len(rivals) else np.full(len(seen), -1.0)
    familiar = (seen @ base.prototypes.T).max(axis=1) if len(base.prototypes) else np.full(len(seen), -1.0)
    counts = np.bincount(support.codes, minlength=support.ways)
    columns = (ranked[:, -1], ranked[:, -2], outside, _closeness(support, learner)[first], np.log(counts[first]))
    return Evidence(np.stack(columns, axis=1).astype(np.float32), np.asarray(familiar, dtype=np.float32))


def _closeness(support: Support, learner: ShrunkPrototypes) -> NDArray[np.float64]:
    """Mean cosine [W] of the examples of a class with the class as it is without them; for one example that of the other classes.

    Where no class has two, 0: it is the same for all, and says nothing.
    """
    own = learner.cosines_left_out(support)[np.arange(len(support.codes)), support.codes]
    known = ~np.isnan(own)
    sums = np.bincount(support.codes[known], own[known], minlength=support.ways)
    counts = np.bincount(support.codes[known], minlength=support.ways)
    mean = float(own[known].mean()) if known.any() else 0.0
    return np.where(counts > 0, sums / np.maximum(counts, 1), mean)


def _asked(pool: Pool, episode: Episode, rows: NDArray[np.int64], learner: ShrunkPrototypes, rival: float) -> Floats:
    return measure(support_of(pool, episode, "features"), pool.features[rows], learner, rival).values


def _without(learner: ShrunkPrototypes, pool: Pool, episode: Episode) -> ShrunkPrototypes:
    """The learner as if it knew neither the episode's types nor those of its strangers: as it will be with new ones."""
    hidden = np.union1d(episode.types, np.unique(pool.codes[episode.strangers]))
    base = learner.base
    kept = np.setdiff1d(np.arange(len(base.prototypes)), hidden)
    return ShrunkPrototypes(BaseTypes(base.mean, base.whitening, base.prototypes[kept]), learner.choice, learner.temperatures)


def _told_apart(members: Floats, strangers: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights, middle and spread [5] of a logistic regression, each of the two groups counting alike."""
    values = np.concatenate([members, strangers])
    middle, spread = values.mean(axis=0), np.maximum(values.std(axis=0), np.float32(1e-6))
    if not len(strangers):
        weights = np.zeros(len(COLUMNS), dtype=np.float32)
        weights[0] = 1.0
        return weights, middle, spread
    truth = np.repeat([1, 0], [len(members), len(strangers)])
    fitted = LogisticRegression(class_weight="balanced", max_iter=1000).fit((values - middle) / spread, truth)
    return fitted.coef_[0].astype(np.float32), middle, spread
