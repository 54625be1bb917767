"""How much each part counts: weights that maximise nDCG@k of users whose next purchases are held out.

Parts differ in scale and from user to user, so each score is divided by its spread over the items first. Weights start
equal, then each is tried at other values in turn. Shapes: U users, C candidates, P parts, I items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.evaluation.ranking import NOTHING
from models.recommender.held_out import HeldOut, ndcg, top
from models.recommender.interactions import Histories
from models.recommender.part import Part
from models.recommender.readings import TINY, Floats, scaled


class BlendConfig(StrictModel):
    """How the parts' weights are learned."""

    users: PositiveInt = Field(5000, description="validation users, drawn at random, on whom weights are learned")
    choice_users: PositiveInt = Field(
        1500, description="of them, users on whom each part chooses its own values: it scores all items for them many times over"
    )
    candidates: PositiveInt = Field(200, description="best items of each part among which weights are learned")
    places: PositiveInt = Field(20, description="nDCG@k that the weights maximise")
    sweeps: PositiveInt = Field(4, description="times that every weight is tried at other values")
    levels: tuple[float, ...] = Field(
        (0.0, 0.03, 0.06, 0.12, 0.2, 0.3, 0.45, 0.65, 1.0, 1.5, 2.2),
        description="what a weight is tried at, times the largest of the others; finer steps gained nothing on unseen users",
    )
    least_gain: PositiveFloat = Field(1e-4, description="share by which nDCG has to rise: less is the noise of a few users")
    floor: PositiveFloat = Field(
        1e-3, description="weight of a fallback at least, of the largest: it decides among items of which nothing else is known"
    )


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


def normalised(part: Part[Any], histories: Histories) -> Floats:
    """Scores [B, I] over their spread."""
    reading = part.read(histories)
    return scaled(reading.all(), reading.spread())


def learn_weights(parts: Mapping[str, Part[Any]], held: HeldOut, config: BlendConfig) -> tuple[dict[str, float], float]:
    """A weight of each part, not negative, the largest 1; 0 for a part that does not help. And the nDCG that they reach."""
    candidates = gather(list(parts.values()), held, config.candidates)
    weights, reached = _climb(candidates, config)
    weights /= max(float(weights.max()), TINY)
    found = {name: round(float(w), 4) for name, w in zip(parts, weights, strict=True)}
    return {name: max(w, config.floor) if parts[name].fallback else w for name, w in found.items()}, reached


def gather(parts: Sequence[Part[Any]], held: HeldOut, count: int) -> Candidates:
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
            for level in config.levels:
                value = np.float32(level * max(float(others.max()), TINY))
                reached = _ndcg_of_scores(rest + features[..., part] * value, candidates, config.places)
                if reached > best * (1 + config.least_gain):
                    best, weights[part] = reached, value
        if best <= before * (1 + config.least_gain):
            break
    return weights, best


def _ndcg_of_scores(scores: Floats, candidates: Candidates, places: int) -> float:
    chosen = torch.from_numpy(scores).topk(min(places, scores.shape[1]), dim=1).indices.numpy()
    hit = np.take_along_axis(candidates.hit, chosen, axis=1)
    return float(ndcg(hit, candidates.relevant).mean())
