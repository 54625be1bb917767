"""The products of a shelf that are most alike: by comparing all that may be answered where they are few, else by inverted lists.

Shapes: q queries, d dimensions, n rows of a shelf, r rows of some.
"""

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from configs.schema import IndexConfig
from serving.search.shelf import Filters, Floats, Rows, Shelf

ALL = Filters()
DENSE = 0.25
"""Share of the rows beyond which all are compared and the others thrown away: faster than to copy those that are left."""

Nearest = tuple[Floats, Rows]
"""Cosines [r] and rows [r], most alike first."""


def nearest(shelf: Shelf, unit: Floats, filters: Filters, count: int) -> list[Nearest]:
    """At most `count` products for each of `unit` [q, d], each of them compared."""
    mask = None if filters == ALL and shelf.whole else shelf.within(filters)
    return _compared(shelf, unit, mask, count)


def nearest_by_lists(shelf: Shelf, unit: Floats, filters: Filters, count: int, lists: Any, config: IndexConfig) -> list[Nearest]:
    """The same, where the shelf has many rows: FAISS's `lists` find candidates, which are compared."""
    mask = None if filters == ALL and shelf.whole else shelf.within(filters)
    left = len(shelf) if mask is None else int(mask.sum())
    if left <= config.exact_filtered:
        return _compared(shelf, unit, mask, count)
    python: Any = faiss  # whose stubs say what C++ takes
    chosen = None if mask is None else python.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    probed = min(lists.nlist, round(config.probed * len(mask) / left)) if mask is not None else min(lists.nlist, config.probed)
    asked = python.SearchParametersIVF(sel=chosen, nprobe=probed)
    _, candidates = lists.search(unit, count * config.ranked_again, params=asked)
    found = []
    for query, rows in zip(unit, candidates, strict=True):
        rows = rows[rows >= 0]
        found.append(_best(shelf.cosines(query[None], rows)[0], rows, count))
    return found


def _compared(shelf: Shelf, unit: Floats, mask: NDArray[np.bool_] | None, count: int) -> list[Nearest]:
    if mask is not None and mask.mean() <= DENSE:
        rows = np.flatnonzero(mask)
        return [_best(scores, rows, count) for scores in shelf.cosines(unit, rows)]
    found = shelf.cosines(unit, None)
    if mask is not None:
        found[:, ~mask] = -np.inf
    return [_best(scores, np.arange(len(scores)), count) for scores in found]


def _best(scores: Floats, rows: Rows, count: int) -> Nearest:
    if len(scores) > count:
        chosen = np.argpartition(-scores, count - 1)[:count]
        scores, rows = scores[chosen], rows[chosen]
    order = np.lexsort((rows, -scores))
    order = order[np.isfinite(scores[order])]
    return scores[order], rows[order]
