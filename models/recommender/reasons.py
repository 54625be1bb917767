"""Why an item is recommended: what its score rests on most, found by taking it away.

For each item of an answer, the items of the history that the parts say are nearest to it are left out one at a time and
everything is scored again. The one without which the score falls most is the reason, and the part that falls most names its
kind. So a reason is true by construction: remove it, and the score falls by `drop`. A short history is read together with what is
left of it without each item, before the answer says which to try: most of a reading's time does not depend on how many it reads.

Shapes: I items, n items of an answer, h of a history, t of those that are tried.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.recommender.answers import Reason, ReasonKind
from models.recommender.interactions import Codes, Histories
from models.recommender.model import Recommender
from models.recommender.readings import Floats, Reading, cells

KINDS: Mapping[str, ReasonKind] = {
    "co_purchase": "bought_together",
    "regression": "bought_together",
    "spectral": "bought_together",
    "factorisation": "bought_together",
    "transitions": "bought_next",
    "sequence": "bought_next",
    "graph_attention": "attention_path",
    "content": "similar_content",
}

LEFT_OUT = 8
"""Items of a history that are left out at most, each a row to read."""

TOGETHER = 16
"""Items of a history up to which it is read together with what is left of it."""

NAMED = 3
"""Attributes in common that a reason names."""


def read(recommender: Recommender, history: Histories) -> dict[str, Reading]:
    """Readings of one history and, where it is short, of what is left of it without each of its items, in their order."""
    return recommender.read(_rows(history, history.items, whole=True) if len(history.items) <= TOGETHER else history)


def reasons(
    recommender: Recommender,
    history: Histories,
    readings: Mapping[str, Reading],
    items: NDArray[np.int64],
    parts: Mapping[str, Floats],
) -> list[Reason]:
    """A reason for each of `items`, of one history with its `readings`; `parts` [n] are the contributions to their scores."""
    places = np.arange(len(history.items)) if len(history.items) <= LEFT_OUT else _candidates(recommender, history, items)
    tried, rows = history.items[places], 1 + places
    if len(history.items) > TOGETHER:
        readings, rows = recommender.read(_rows(history, tried)), np.arange(len(tried))
    if not len(tried):
        return [_popular(recommender, int(item), place, parts) for place, item in enumerate(items)]
    after = recommender.weighed(readings, items)
    falls = {name: parts[name] - after[name][rows] for name in parts}
    drops: Floats = np.sum(list(falls.values()), axis=0)  # (t, n)
    best = drops.argmax(axis=0)
    return [
        _reason(recommender, int(item), int(tried[row]), float(drops[row, place]), {n: f[row, place] for n, f in falls.items()})
        if drops[row, place] > 0
        else _popular(recommender, int(item), place, parts)
        for place, (item, row) in enumerate(zip(items, best, strict=True))
    ]


def _rows(history: Histories, left_out: Codes, whole: bool = False) -> Histories:
    """One history without each of the items `left_out`, after the `whole` of it where that is asked for."""
    kept = history.items != left_out[:, None]  # (t, h)
    if whole:
        kept = np.concatenate([np.ones((1, len(history.items)), dtype=bool), kept])
    place = np.nonzero(kept)[1]
    offsets = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    return Histories(offsets, history.items[place], history.weights[place])


def _candidates(recommender: Recommender, history: Histories, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places [t] in the history of likely reasons: the newest items, and those nearest to the answers."""
    own, weights = history.items, history.weights
    near = recommender.features[own] @ recommender.features[items].T  # (h, n)
    for matrix in recommender.matrices():
        pairs = cells(matrix, own, items) * weights[:, None]
        near = near + pairs / max(float(pairs.max(initial=0.0)), 1e-12)
    votes = np.bincount(near.argmax(axis=0), minlength=len(own)) * len(own) + np.arange(len(own))  # then the newest
    return np.argsort(-votes, kind="stable")[:LEFT_OUT]


def _reason(recommender: Recommender, item: int, code: int, drop: float, falls: Mapping[str, float]) -> Reason:
    """The item `code` of the history, without which the score falls by `drop`, and what each part adds by `falls`."""
    by_part = {name: fall for name, fall in falls.items() if name in KINDS}
    kind = KINDS[max(by_part, key=lambda name: by_part[name])] if by_part else "bought_together"
    shared = recommender.items.shared(code, item)[:NAMED] if kind == "similar_content" else ()
    if shared:
        kind = "shared_attributes"
    text = _text(kind, recommender.items.title(code), shared)
    return Reason(kind, text, drop, recommender.items.keys[code], shared)


def _popular(recommender: Recommender, item: int, place: int, parts: Mapping[str, Floats]) -> Reason:
    drop = float(parts["popularity"][place]) if "popularity" in parts else 0.0
    buyers = int(recommender.items.buyers[item])
    return Reason("popular", f"Bought by {buyers:,} users." if buyers else "New in the catalogue.", drop)


def _text(kind: ReasonKind, title: str, shared: Sequence[str]) -> str:
    match kind:
        case "bought_together":
            return f"Goes with {title}: the same users buy both."
        case "bought_next":
            return f"Often follows {title}."
        case "attention_path":
            return f"Reached from {title} through the users who bought it."
        case "shared_attributes":
            return f"Shares {', '.join(shared)} with {title}."
        case _:
            return f"Is like {title}."
