"""Why an item is recommended: what its score rests on most, found by taking it away.

For each item of an answer, the items of the history that the parts say are nearest to it are left out one at a time and
everything is scored again. The one without which the score falls most is the reason, and the part that falls most names its
kind. So a reason is true by construction: remove it, and the score falls by `drop`. A short history is read together with what is
left of it without each item, before the answer says which to try: most of a reading's time does not depend on how many it reads.

Shapes: I items, n items of an answer, h of a history, t of those that are tried.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from configs.schema import PositiveInt, StrictModel
from models.recommender.answers import Reason
from models.recommender.interactions import Codes, Histories
from models.recommender.model import Recommender
from models.recommender.readings import Floats, Reading, cells


class ReasonsConfig(StrictModel):
    """How reasons are looked for."""

    left_out: PositiveInt = Field(8, description="items of a history that are left out at most, each a row to read")
    together: PositiveInt = Field(
        16,
        description="items of a history up to which it is read together with what is left of it; longer ones were no faster so",
    )
    named: PositiveInt = Field(3, description="attributes in common that a reason names, the rarest first")


def read(recommender: Recommender, history: Histories, config: ReasonsConfig) -> dict[str, Reading]:
    """Readings of one history and, where it is short, of what is left of it without each of its items, in their order."""
    together = len(history.items) <= config.together
    return recommender.read(_rows(history, history.items, whole=True) if together else history)


def reasons(
    recommender: Recommender,
    history: Histories,
    readings: Mapping[str, Reading],
    items: NDArray[np.int64],
    parts: Mapping[str, Floats],
    config: ReasonsConfig,
    unnamed: NDArray[np.bool_],
) -> list[Reason]:
    """A reason for each of `items`, of one history with its `readings`; `parts` [n] are the contributions to their scores.

    Items of the history that are `unnamed` [I] are no reasons.
    """
    places = np.arange(len(history.items))
    if len(places) > config.left_out:
        places = _likeliest(recommender, history, items)
    places = places[~unnamed[history.items[places]]][: config.left_out]
    tried, rows = history.items[places], 1 + places
    if len(tried) and len(history.items) > config.together:
        readings, rows = recommender.read(_rows(history, tried)), np.arange(len(tried))
    if not len(tried):
        return [_fallback(recommender, int(item), place, parts, config.named) for place, item in enumerate(items)]
    after = recommender.weighed(readings, items)
    falls = {name: parts[name] - after[name][rows] for name in parts}
    drops: Floats = np.sum(list(falls.values()), axis=0)  # (t, n)
    best = drops.argmax(axis=0)
    return [
        _reason(
            recommender,
            int(item),
            int(tried[row]),
            float(drops[row, place]),
            {n: f[row, place] for n, f in falls.items()},
            config.named,
        )
        if drops[row, place] > 0
        else _fallback(recommender, int(item), place, parts, config.named)
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


def _likeliest(recommender: Recommender, history: Histories, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places [h] in the history, likely reasons first: the items nearest to most answers, then the newest."""
    own, weights = history.items, history.weights
    near = recommender.features[own] @ recommender.features[items].T  # (h, n)
    for matrix in recommender.matrices():
        pairs = cells(matrix, own, items) * weights[:, None]
        near = near + pairs / max(float(pairs.max(initial=0.0)), 1e-12)
    votes = np.bincount(near.argmax(axis=0), minlength=len(own)) * len(own) + np.arange(len(own))  # then the newest
    return np.argsort(-votes, kind="stable")


def _reason(recommender: Recommender, item: int, code: int, drop: float, falls: Mapping[str, float], named: int) -> Reason:
    """The item `code` of the history, without which the score falls by `drop`, and what each part adds by `falls`."""
    by_part = {name: fall for name, fall in falls.items() if not recommender.parts[name].fallback}
    part = recommender.parts[max(by_part, key=lambda name: by_part[name])]
    explanation = part.explain(recommender.items, item, code, named)
    return Reason(explanation.kind, explanation.text, drop, recommender.items.keys[code], explanation.attributes)


def _fallback(recommender: Recommender, item: int, place: int, parts: Mapping[str, Floats], named: int) -> Reason:
    """Without an item of the history."""
    name = recommender.fallback
    explanation = recommender.parts[name].explain(recommender.items, item, None, named)
    drop = float(parts[name][place]) if name in parts else 0.0
    return Reason(explanation.kind, explanation.text, drop, attributes=explanation.attributes)
