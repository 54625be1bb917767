"""How much each part counts: weights that maximise nDCG@k of users whose next purchases are held out.

Parts differ in scale and from user to user, so each score is divided by its spread over the items first. Weights start
equal, then each is tried at other values in turn. Shapes: U users, C candidates, P parts, I items.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.evaluation.ranking import NOTHING
from models.recommender.config import BlendConfig
from models.recommender.interactions import Histories
from models.recommender.parts import Part
from models.recommender.readings import TINY, Floats, scaled

USERS_A_BATCH = 256
LEVELS = (0.0, 0.03, 0.06, 0.12, 0.2, 0.3, 0.45, 0.65, 1.0, 1.5, 2.2)
"""What a weight is tried at, times the largest of the others."""

LEAST_GAIN = 1e-4
FLOOR = 1e-3
"""Weight of popularity at least, of the largest weight: it decides among items of which nothing else is known."""


@dataclass(frozen=True)
class HeldOut:
    """Users with what they did, and what they bought next: relevant [U, I]; `users` [U] are their codes."""

    histories: Histories
    relevant: csr_matrix
    users: NDArray[np.int64]

    @classmethod
    def of(cls, histories: Histories, relevant: csr_matrix) -> "HeldOut":
        """Of everyone's histories and next purchases [U, I], the users who have both; what is bought again is no answer."""
        relevant = csr_matrix(relevant - relevant.multiply(histories.matrix(relevant.shape[1]) > 0))
        relevant.eliminate_zeros()
        users = np.flatnonzero((np.diff(relevant.indptr) > 0) & (histories.lengths > 0))
        return cls(histories.select(users), relevant[users], users)

    def __len__(self) -> int:
        return len(self.histories)

    def draw(self, users: int, seed: int) -> "HeldOut":
        """At most `users` of them, at random."""
        if users >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), users, replace=False))
        return HeldOut(self.histories.select(chosen), self.relevant[chosen], self.users[chosen])

    def batches(self) -> Iterator["HeldOut"]:
        """A few users at a time: a row of scores is as long as the catalogue."""
        for start in range(0, len(self), USERS_A_BATCH):
            rows = np.arange(start, min(start + USERS_A_BATCH, len(self)))
            yield HeldOut(self.histories.select(rows), self.relevant[rows], self.users[rows])


@dataclass(frozen=True)
class Candidates:
    """What weights are learned on.

    Attributes:
        features: float32 [U, C, P] scores over their spread; padding has -inf in the first part.
        hit: Whether a candidate [U, C] is relevant.
        relevant: How many items [U] are.
    """

    features: Floats
    hit: NDArray[np.bool_]
    relevant: NDArray[np.int64]


def top(scores: Floats, histories: Histories, places: int, exclude: bool = True) -> NDArray[np.int64]:
    """Item codes [B, places] by score, best first, without the users' own where `exclude`; `NOTHING` where a list ends early."""
    values = np.array(scores, dtype=np.float32)
    if exclude:
        values[np.repeat(np.arange(len(histories)), histories.lengths), histories.items] = -np.inf
    best = torch.from_numpy(values).topk(min(places, values.shape[1]), dim=1)
    codes: NDArray[np.int64] = np.where(np.isneginf(best.values.numpy()), NOTHING, best.indices.numpy())
    return codes


def quality(scores: Callable[[Histories], Floats], held: HeldOut, places: int) -> float:
    """Mean nDCG@places of a way to score, over all items but the users' own."""
    total = 0.0
    for batch in held.batches():
        ranked = top(scores(batch.histories), batch.histories, places)
        hit = np.asarray(batch.relevant[np.arange(len(batch))[:, None], np.maximum(ranked, 0)].todense()) != 0
        total += float(_ndcg(hit & (ranked != NOTHING), np.diff(batch.relevant.indptr)).sum())
    return total / max(1, len(held))


def normalised(part: Part, histories: Histories) -> Floats:
    """Scores [B, I] over their spread."""
    reading = part.read(histories)
    return scaled(reading.all(), reading.spread())


def learn_weights(parts: Mapping[str, Part], held: HeldOut, config: BlendConfig) -> tuple[dict[str, float], float]:
    """A weight of each part, not negative, the largest 1; 0 for a part that does not help. And the nDCG that they reach."""
    names = list(parts)
    candidates = gather(list(parts.values()), held, config.candidates)
    weights, reached = _climb(candidates, config)
    weights /= max(float(weights.max()), TINY)
    found = {name: round(float(w), 4) for name, w in zip(names, weights, strict=True)}
    if "popularity" in found:
        found["popularity"] = max(found["popularity"], FLOOR)
    return found, reached


def gather(parts: Sequence[Part], held: HeldOut, count: int) -> Candidates:
    """The union of the best `count` items of each part, scored by every part."""
    found, hits = [], []
    for batch in held.batches():
        scores = [normalised(part, batch.histories) for part in parts]
        codes = np.sort(np.concatenate([top(s, batch.histories, count) for s in scores], axis=1), axis=1)
        there = (codes != NOTHING) & np.concatenate([np.ones((len(codes), 1), bool), codes[:, 1:] != codes[:, :-1]], axis=1)
        rows = np.arange(len(codes))[:, None]
        features = np.stack([s[rows, np.maximum(codes, 0)] for s in scores], axis=-1)
        features[~there] = 0.0
        features[~there, 0] = -np.inf
        found.append(features)
        hits.append((np.asarray(batch.relevant[rows, np.maximum(codes, 0)].todense()) != 0) & there)
    return Candidates(np.concatenate(found), np.concatenate(hits), np.diff(held.relevant.indptr))


def ndcg_of(candidates: Candidates, weights: Floats, places: int) -> float:
    """Mean nDCG@places of the candidates in the order of their weighted sum."""
    scores = np.where(np.isneginf(candidates.features[..., 0]), -np.inf, np.nan_to_num(candidates.features, neginf=0.0) @ weights)
    return _ndcg_of_scores(scores, candidates, places)


def _climb(candidates: Candidates, config: BlendConfig) -> tuple[Floats, float]:
    """From equal weights, try each at other values in turn, and keep what raises nDCG."""
    features = np.nan_to_num(candidates.features, neginf=0.0)
    floor = np.where(np.isneginf(candidates.features[..., 0]), -np.inf, 0.0).astype(np.float32)
    weights = np.ones(features.shape[-1], dtype=np.float32)
    best = _ndcg_of_scores(features @ weights + floor, candidates, config.places)
    for _ in range(config.sweeps):
        before = best
        for part in range(len(weights)):
            others = np.where(np.arange(len(weights)) == part, 0.0, weights).astype(np.float32)
            rest = features @ others + floor
            for level in LEVELS:
                value = np.float32(level * max(float(others.max()), TINY))
                reached = _ndcg_of_scores(rest + features[..., part] * value, candidates, config.places)
                if reached > best * (1 + LEAST_GAIN):
                    best, weights[part] = reached, value
        if best <= before * (1 + LEAST_GAIN):
            break
    return weights, best


def _ndcg_of_scores(scores: Floats, candidates: Candidates, places: int) -> float:
    chosen = torch.from_numpy(scores).topk(min(places, scores.shape[1]), dim=1).indices.numpy()
    hit = np.take_along_axis(candidates.hit, chosen, axis=1)
    return float(_ndcg(hit, candidates.relevant).mean())


def _ndcg(hit: NDArray[np.bool_], relevant: NDArray[np.int64]) -> Floats:
    """NDCG [B] of hits [B, k] in order."""
    discount = 1.0 / np.log2(np.arange(hit.shape[1]) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, hit.shape[1])]
    found: Floats = (hit @ discount) / np.maximum(ideal, TINY)
    return found
