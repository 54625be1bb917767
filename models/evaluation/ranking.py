"""How good ranked lists are: over all items, never over sampled ones (Krichene & Rendle 2020), each user counted.

Shapes: U users, I items, k places. `ranked` [U, k] holds item codes, best first, -1 where a list ends early; a user without any
recommendation is a row of -1 and scores 0. `relevant` [U, I] is sparse: what each user should have been shown.
A metric is the mean of the values [U] that a function returns; users without anything relevant are left out by the caller.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.evaluation.metrics import CHUNK_CELLS, Floats, Integers, graded_ndcg, normalised

NOTHING = -1

Hits = NDArray[np.bool_]


def hits(ranked: Integers, relevant: csr_matrix) -> Hits:
    """Whether each place [U, k] holds something relevant."""
    users, places = ranked.shape
    if not users:
        return np.zeros((0, places), dtype=bool)
    rows = np.repeat(np.arange(users), places)
    shown = ranked.ravel()
    found = np.asarray(relevant[rows, np.maximum(shown, 0)]).ravel() != 0
    hit: Hits = (found & (shown != NOTHING)).reshape(users, places)
    return hit


def recall(hit: Hits, relevant: Integers, k: int) -> Floats:
    """Share of a user's `relevant` [U] items among the first k."""
    share: Floats = hit[:, :k].sum(axis=1) / np.asarray(relevant, dtype=np.float64)
    return share


def hit_rate(hit: Hits, k: int) -> Floats:
    """1.0 where anything relevant is among the first k."""
    found: Floats = np.asarray(hit[:, :k].any(axis=1), dtype=np.float64)
    return found


def ndcg(hit: Hits, relevant: Integers, k: int) -> Floats:
    """nDCG@k with gain 1: the best list has min(k, relevant) hits on top (Järvelin & Kekäläinen 2002)."""
    ideal = np.arange(k) < np.asarray(relevant)[:, None]
    return graded_ndcg(_padded(hit, k).astype(np.float64), ideal.astype(np.float64))


def reciprocal_rank(hit: Hits) -> Floats:
    """1 / place of the first hit, 0 without one (Voorhees 1999)."""
    return np.where(hit.any(axis=1), 1.0 / (hit.argmax(axis=1) + 1.0), 0.0)


def coverage(ranked: Integers, items: int) -> float:
    """Share of the catalogue's items that anyone is shown (Ge et al. 2010)."""
    return len(np.unique(ranked[ranked != NOTHING])) / items


def gini(ranked: Integers, items: int) -> float:
    """How unequally items are shown: 0 where all are shown equally often, near 1 where one has all (Fleder & Hosanagar 2009)."""
    return gini_of_counts(np.bincount(ranked[ranked != NOTHING], minlength=items))


def gini_of_counts(shown: Floats) -> float:
    """`gini` of how often each item [I] is shown; NaN where none is."""
    counts, items = np.sort(shown).astype(np.float64), len(shown)
    if not counts.sum():
        return float("nan")
    order = np.arange(1, items + 1)
    return float(((2 * order - items - 1) * counts).sum() / (items * counts.sum()))


def shown_table(ranked: Integers, items: int) -> csr_matrix:
    """Sparse [U, items]: 1 where an item is in a user's list."""
    there = ranked != NOTHING
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return csr_matrix((np.ones(int(offsets[-1]), dtype=np.float32), ranked[there], offsets), shape=(len(ranked), items))


def novelty(ranked: Integers, buyers: Integers, users: int) -> Floats:
    """Mean surprise of a list in bits [U]: -log2 of the share of users who bought an item (Zhou et al. 2010), NaN without items.

    `buyers` [I] in the training rows, each with one added, so that an item that nobody bought is finite.
    """
    surprise = -np.log2((np.asarray(buyers) + 1.0) / (users + 1.0))
    there = ranked != NOTHING
    total, count = (surprise[np.maximum(ranked, 0)] * there).sum(axis=1), there.sum(axis=1)
    mean: Floats = np.divide(total, count, out=np.full(len(ranked), np.nan), where=count > 0)
    return mean


def intra_list_diversity(ranked: Integers, vectors: Floats) -> Floats:
    """Mean of 1 - cosine over the pairs of a list [U], by item vectors [I, d] (Smyth & McClave 2001), NaN below two items."""
    unit = normalised(vectors)
    step = max(1, CHUNK_CELLS // max(1, ranked.shape[1] * unit.shape[1]))
    parts = [_diversity(ranked[start : start + step], unit) for start in range(0, len(ranked), step)]
    return np.concatenate([np.zeros(0), *parts])


def _diversity(ranked: Integers, unit: Floats) -> Floats:
    there = ranked != NOTHING
    chosen = unit[np.maximum(ranked, 0)] * there[:, :, None]
    count = there.sum(axis=1).astype(np.float64)
    total = chosen.sum(axis=1)
    own = (chosen**2).sum(axis=(1, 2))
    pairs = count * (count - 1)
    similar = np.divide((total**2).sum(axis=1) - own, pairs, out=np.full(len(ranked), np.nan), where=pairs > 0)
    different: Floats = 1.0 - similar
    return different


def _padded(hit: Hits, k: int) -> Hits:
    """The first k places; lists that are shorter have no hit behind."""
    return np.pad(hit[:, :k], ((0, 0), (0, max(0, k - hit.shape[1]))))
