"""Why an item is recommended: what its score rests on most, found by taking it away.

For each item of an answer, the items of the history that the parts say are nearest to it are left out one at a time and
everything is scored again. The one without which the score falls most is the reason, and the part that falls most names its
kind. So a reason is true by construction: remove it, and the score falls by `drop`. Shapes: I items, n items of a history.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.recommender.answers import Reason, ReasonKind
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.readings import Floats, SparseReading

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
"""Items of a history that are left out at most, each a scoring of its own."""

NAMED = 3
"""Attributes in common that a reason names."""


def reasons(recommender: Recommender, history: Histories, items: NDArray[np.int64], parts: Mapping[str, Floats]) -> list[Reason]:
    """A reason for each of `items`, of the one user of `history`; `parts` [n] are the contributions to their scores."""
    own, weights = history.user(0)
    tried = _candidates(recommender, own, weights, items)
    falls: list[dict[str, Floats]] = []
    if len(tried):
        left = [np.flatnonzero(own != item) for item in tried]
        without = Histories(
            np.concatenate([[0], np.cumsum([len(rows) for rows in left])]),
            np.concatenate([own[rows] for rows in left]),
            np.concatenate([weights[rows] for rows in left]),
        )
        after = recommender.contributions(without, items)
        falls = [{name: parts[name] - after[name][row] for name in parts} for row in range(len(tried))]
    return [_reason(recommender, int(item), place, tried, falls, parts) for place, item in enumerate(items)]


def _candidates(recommender: Recommender, own: NDArray[np.int32], weights: Floats, items: NDArray[np.int64]) -> NDArray[np.int32]:
    """Items of the history that are likely reasons: the newest, and those nearest to the answers."""
    if len(own) <= LEFT_OUT:
        return own
    near = recommender.features[own] @ recommender.features[items].T  # (n, answers)
    for matrix in recommender.matrices():
        pairs = SparseReading(matrix[own]).at(items) * weights[:, None]
        near = near + pairs / max(float(pairs.max(initial=0.0)), 1e-12)
    votes = np.bincount(near.argmax(axis=0), minlength=len(own)) * len(own) + np.arange(len(own))  # then the newest
    return own[np.argsort(-votes, kind="stable")[:LEFT_OUT]]


def _reason(
    recommender: Recommender,
    item: int,
    place: int,
    tried: NDArray[np.int32],
    falls: Sequence[Mapping[str, Floats]],
    parts: Mapping[str, Floats],
) -> Reason:
    drops = [float(sum(fall[name][place] for name in fall)) for fall in falls]
    if not drops or max(drops) <= 0:
        return _popular(recommender, item, place, parts)
    best = int(np.argmax(drops))
    by_part = {name: float(fall[place]) for name, fall in falls[best].items() if name in KINDS}
    kind = KINDS[max(by_part, key=lambda name: by_part[name])] if by_part else "bought_together"
    code = int(tried[best])
    shared = recommender.items.shared(code, item)[:NAMED] if kind == "similar_content" else ()
    if shared:
        kind = "shared_attributes"
    return Reason(
        kind=kind,
        text=_text(kind, recommender.items.title(code), shared),
        drop=drops[best],
        item_id=recommender.items.keys[code],
        attributes=shared,
    )


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
