"""Episodes of a setting, and how learners fare on them. Shapes: E episodes, m queries, W ways, s strangers, D features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from models.fewshot.calibration import inputs, support_of
from models.fewshot.episodes import Episode, EpisodesConfig, Floats, Pool, episodes, possible
from models.fewshot.learner import Learner
from models.fewshot.learners.shrunk_prototypes import ShrunkPrototypes
from models.fewshot.unknown import Neighbourhood, Unknown

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How many classes, and how many examples of each; `novel` where they are of a department that training never saw."""

    ways: int
    shots: int
    novel: bool = False

    @property
    def name(self) -> str:
        """As in the names of metrics."""
        return f"{'novel_' if self.novel else ''}{self.ways}way_{self.shots}shot"

    def lacks(self, pool: Pool) -> str | None:
        """Why a pool has no episode of this setting; None where it has."""
        there = len(possible(pool, self.shots))
        if there >= self.ways:
            return None
        return f"{there} types to test have more than {self.shots} products, {self.ways} ways need {self.ways}"


@dataclass(frozen=True)
class Played:
    """The episodes of a setting with the scores of each learner.

    Attributes:
        logits: Of each learner, of each episode float32 [m, W].
    """

    setting: Setting
    pool: Pool
    episodes: Sequence[Episode]
    logits: Mapping[str, Sequence[Floats]]

    def right(self, learner: str) -> list[NDArray[np.bool_]]:
        """Of each episode, whether each query [m] is given its class."""
        told = zip(self.logits[learner], self.episodes, strict=True)
        return [scores.argmax(axis=1) == episode.query_codes for scores, episode in told]

    def accuracy(self, learner: str) -> Values:
        """Share [E] of the queries of each episode that are given their class."""
        return np.array([right.mean() for right in self.right(learner)], dtype=np.float64)

    def confidence(self, learner: str) -> list[Values]:
        """Of each episode, the probability [m] of the class that each query is given."""
        return [softmax(scores.astype(np.float64), axis=1).max(axis=1) for scores in self.logits[learner]]

    def keys(self) -> list[str]:
        """A name for each episode: where the same products are taught and asked it is the same, whoever draws them."""
        ids = self.pool.product_ids.astype(str)
        return [_key(self.setting.name, ids, episode) for episode in self.episodes]


@dataclass(frozen=True)
class Rejections:
    """How sure it is that products are none of an episode's classes; above 0.5 they are rejected.

    Attributes:
        members, strangers: Of each episode, float32 [m] of its queries and [s] of its strangers.
    """

    members: Sequence[Floats]
    strangers: Sequence[Floats]

    @property
    def false_rejection(self) -> Values:
        """Share [E] of the members of each episode that are rejected."""
        return np.array([(sure > 0.5).mean() for sure in self.members], dtype=np.float64)

    @property
    def unknown_rejection(self) -> Values:
        """Share [E] of the strangers of each episode that are rejected; each episode must have some."""
        return np.array([(sure > 0.5).mean() for sure in self.strangers], dtype=np.float64)

    @property
    def some(self) -> bool:
        """Whether each episode has strangers: there are none where it takes all types."""
        return all(len(sure) for sure in self.strangers)

    @property
    def rate(self) -> float:
        """Share of all members that are rejected."""
        return float((np.concatenate(self.members) > 0.5).mean())


def play(pool: Pool, setting: Setting, learners: Mapping[str, Learner[Any]], count: int, config: EpisodesConfig) -> Played:
    """`count` episodes with learners that all read the same.

    Raises:
        VitrinaError: the pool has no episode of the setting.
    """
    drawn = list(episodes(pool, setting.ways, setting.shots, count, config))
    told: dict[str, list[Floats]] = {}
    for name, learner in learners.items():
        told[name] = [
            learner.adapt(support_of(pool, episode, learner.reads)).logits(inputs(pool, episode.query, learner.reads))
            for episode in drawn
        ]
    return Played(setting, pool, drawn, told)


def rejections(played: Played, unknown: Unknown, learner: ShrunkPrototypes) -> Rejections:
    """What the version rejects."""
    members, strangers, pool = [], [], played.pool
    for episode in played.episodes:
        taught = Neighbourhood.of(support_of(pool, episode, "features"), learner, unknown.rival)
        members.append(unknown.stranger(taught.ask(pool.features[episode.query])))
        strangers.append(unknown.stranger(taught.ask(pool.features[episode.strangers])))
    return Rejections(members, strangers)


def uncalibrated(played: Played, rate: float) -> Values:
    """Share [E] of strangers rejected by their distance to the nearest class mean, as the simplest way to do it.

    One bound for all episodes is set on the members measured, so that the share `rate` of them is rejected: that is generous, as
    no version knows them.
    """
    members, strangers = [], []
    for episode in played.episodes:
        features = played.pool.features
        means = np.stack([features[episode.support[episode.support_codes == code]].mean(axis=0) for code in range(episode.ways)])
        members.append(_nearest(features[episode.query], means))
        strangers.append(_nearest(features[episode.strangers], means))
    bound = np.quantile(np.concatenate(members), 1.0 - rate)
    return np.array([(far > bound).mean() for far in strangers], dtype=np.float64)


def _nearest(features: Floats, means: Floats) -> Values:
    """Euclidean distance [m] of features [m, D] to the nearest of the means [W, D]."""
    squared = (features**2).sum(axis=1)[:, None] - 2 * features @ means.T + (means**2).sum(axis=1)
    found: Values = np.sqrt(np.maximum(squared, 0.0)).min(axis=1).astype(np.float64)
    return found


def _key(setting: str, ids: NDArray[np.str_], episode: Episode) -> str:
    parts = (ids[episode.support], ids[episode.query], episode.query_codes.astype(str), ids[episode.strangers])
    told = "\n\n".join([setting, *("\n".join(part) for part in parts)])
    return blake2b(told.encode(), digest_size=8).hexdigest()
