"""Users whose next purchases are held out, and how well a way to score finds them. Shapes: B and U users, I items, k places."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.evaluation.ranking import NOTHING
from models.recommender.interactions import Histories
from models.recommender.readings import TINY, Floats

USERS_A_BATCH = 256
"""Rows of scores that are held at once."""


@dataclass(frozen=True)
class HeldOut:
    """Users with what they did, and what they bought next: relevant [U, I]; `users` [U] are their codes."""

    histories: Histories
    relevant: csr_matrix
    users: NDArray[np.int64]

    @classmethod
    def of(cls, histories: Histories, relevant: csr_matrix) -> "HeldOut":
        """Of everyone's histories and next purchases [U, I], the users who have both; what is bought again is no answer."""
        relevant = csr_matrix(relevant - relevant.multiply(histories.bought().matrix(relevant.shape[1]) > 0))
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


def top(scores: Floats, histories: Histories, places: int, exclude: bool = True) -> NDArray[np.int64]:
    """Item codes [B, places] by score, best first, without purchases where `exclude`; `NOTHING` where a list ends early."""
    values = np.array(scores, dtype=np.float32)
    if exclude:
        own = histories.bought()
        values[np.repeat(np.arange(len(own)), own.lengths), own.items] = -np.inf
    best = torch.from_numpy(values).topk(min(places, values.shape[1]), dim=1)
    codes: NDArray[np.int64] = np.where(np.isneginf(best.values.numpy()), NOTHING, best.indices.numpy())
    return codes


def quality(scores: Callable[[Histories], Floats], held: HeldOut, places: int) -> float:
    """Mean nDCG@places of a way to score, over all items but those that users bought."""
    total = 0.0
    for batch in held.batches():
        ranked = top(scores(batch.histories), batch.histories, places)
        hit = np.asarray(batch.relevant[np.arange(len(batch))[:, None], np.maximum(ranked, 0)].todense()) != 0
        total += float(ndcg(hit & (ranked != NOTHING), np.diff(batch.relevant.indptr)).sum())
    return total / max(1, len(held))


def ndcg(hit: NDArray[np.bool_], relevant: NDArray[np.int64]) -> Floats:
    """NDCG [B] of hits [B, k] in order, of users with so many `relevant` items [B]."""
    discount = 1.0 / np.log2(np.arange(hit.shape[1]) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, hit.shape[1])]
    found: Floats = (hit @ discount) / np.maximum(ideal, TINY)
    return found
