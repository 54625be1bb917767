"""What is kept of the episodes behind an evaluation: a frame with one row a thing, told apart by `kind`.

==========  =========================================================================================
kind        a row is
==========  =========================================================================================
episode     an episode: its name, accuracy, and the shares of members and strangers that were rejected
type        a type: of the queries of its products the share that was right, and the share rejected
confused    two types: how often one was taken for the other, of how many queries while both were taught
support     of an episode whose photos are shown: a product that was taught
asked       of such an episode: a product that was asked about; `true` is missing where it is a stranger
==========  =========================================================================================
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from models.fewshot.calibration import inputs, support_of
from models.fewshot.learner import Learner
from models.fewshot.played import Played, Rejections

WORST, TYPICAL = 5, 2
"""Episodes whose products are kept: the worst, and the first ones of the others."""

COLUMNS: dict[str, str] = {
    "kind": "object",
    "setting": "object",
    "episode": "object",
    "shown": "object",
    "product_id": "object",
    "other_id": "object",
    "true": "object",
    "answered": "object",
    "probability": "float64",
    "stranger": "float64",
    "accuracy": "float64",
    "false_rejection": "float64",
    "unknown_rejection": "float64",
    "count": "float64",
    "of": "float64",
    "known": "object",
}
"""Columns and their types; a kind that has nothing to say in one leaves it empty."""


def frame_of(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All rows in one frame."""
    return pd.concat([part.reindex(columns=[*COLUMNS]).astype(COLUMNS) for part in parts], ignore_index=True)


def episode_rows(played: Played, learner: str, rejected: Rejections | None = None) -> pd.DataFrame:
    """A row an episode."""
    rows = pd.DataFrame({"episode": played.keys(), "accuracy": played.accuracy(learner)})
    if rejected is not None:
        rows["false_rejection"] = rejected.false_rejection
        rows["unknown_rejection"] = rejected.unknown_rejection if rejected.some else np.nan
    return rows.assign(kind="episode", setting=played.setting.name)


def class_rows(played: Played, learner: str, rejected: Rejections) -> pd.DataFrame:
    """A row a class of an episode: its type, and the shares of its queries that were right and that were rejected."""
    found = []
    told = zip(played.episodes, played.right(learner), rejected.members, strict=True)
    for episode, right, sure in told:
        asked = np.bincount(episode.query_codes, minlength=episode.ways)
        share, refused = (np.bincount(episode.query_codes, hit, episode.ways) / asked for hit in (right, sure > 0.5))
        names = np.array(played.pool.types, dtype=object)[episode.types]
        found.append(pd.DataFrame({"true": names, "accuracy": share, "false_rejection": refused, "of": asked}))
    return pd.concat(found, ignore_index=True)


def type_rows(played: Played, classes: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """A row a type, from the rows of its classes; `known` are types that the base or a learner has seen."""
    found = classes.groupby("true", sort=True).agg(
        accuracy=("accuracy", "mean"), false_rejection=("false_rejection", "mean"), of=("of", "sum"), count=("of", "size")
    )
    rows = found.reset_index().assign(kind="type", setting=played.setting.name)
    return rows.assign(known=rows["true"].isin(list(known)).map({True: "yes", False: "no"}))


def confused_rows(played: Played, learner: str, rejected: Rejections) -> pd.DataFrame:
    """A row a pair of types, the most confused first: `true` was taken for `answered`, or the other way round.

    `product_id` is a product of the first that was taken for the second with the highest probability, beside `other_id`, one of
    the second that was taught then.
    """
    told = pd.concat(_answers(played, learner, rejected), ignore_index=True)
    wrong = told[told["true"] != told["answered"]]
    if wrong.empty:
        return pd.DataFrame({"kind": []})
    pair = wrong[["true", "answered"]].apply(lambda row: tuple(sorted(row)), axis=1)
    counts = pair.value_counts()
    together = _together(played)
    first = wrong.assign(pair=pair).sort_values("probability", ascending=False, kind="stable").drop_duplicates("pair")
    rows = first.assign(count=first["pair"].map(counts), of=first["pair"].map(together), kind="confused")
    rows = rows.sort_values(["count", "probability"], ascending=False, kind="stable")
    return rows.drop(columns=["pair", "stranger"]).assign(setting=played.setting.name)


def _together(played: Played) -> dict[tuple[str, str], int]:
    """Of each pair of types, the queries of either that were asked while both were taught."""
    found: dict[tuple[str, str], int] = {}
    for episode in played.episodes:
        names = [played.pool.types[code] for code in episode.types]
        asked = np.bincount(episode.query_codes, minlength=episode.ways)
        for one in range(episode.ways):
            for other in range(one):
                pair = (min(names[one], names[other]), max(names[one], names[other]))
                found[pair] = found.get(pair, 0) + int(asked[one] + asked[other])
    return found


def shown_rows(played: Played, name: str, learner: Learner[Any], rejected: Rejections) -> list[pd.DataFrame]:
    """What was taught and asked in the worst episodes, and in the first of the others; `learner` is the one called `name`."""
    failed = [((~right) | (sure > 0.5)).mean() for right, sure in zip(played.right(name), rejected.members, strict=True)]
    worst = np.argsort(-np.array(failed), kind="stable")[:WORST].tolist()
    others = [place for place in range(len(failed)) if place not in worst][:TYPICAL]
    answers, keys = _answers(played, name, rejected), played.keys()
    ids, names = played.pool.product_ids.astype(str), np.array(played.pool.types, dtype=object)
    found = []
    for place in [*worst, *others]:
        episode = played.episodes[place]
        taught = pd.DataFrame({"product_id": ids[episode.support], "true": names[episode.types[episode.support_codes]]})
        asked = [answers[place].drop(columns="other_id"), _strangers(played, learner, rejected, place)]
        parts = [taught.assign(kind="support"), *(rows.assign(kind="asked") for rows in asked if len(rows))]
        shown = "worst" if place in worst else "typical"
        found += [part.assign(episode=keys[place], shown=shown, setting=played.setting.name) for part in parts]
    return found


def _answers(played: Played, learner: str, rejected: Rejections) -> list[pd.DataFrame]:
    """Of each episode, a row a query; `other_id` is the first product that was taught of the class that was answered."""
    ids, names = played.pool.product_ids.astype(str), np.array(played.pool.types, dtype=object)
    found = []
    for episode, scores, sure in zip(played.episodes, played.logits[learner], rejected.members, strict=True):
        classes = names[episode.types]
        taught = ids[episode.support[np.searchsorted(episode.support_codes, np.arange(episode.ways))]]
        answered = scores.argmax(axis=1)
        found.append(
            pd.DataFrame(
                {
                    "product_id": ids[episode.query],
                    "other_id": taught[answered],
                    "true": classes[episode.query_codes],
                    "answered": classes[answered],
                    "probability": softmax(scores.astype(np.float64), axis=1).max(axis=1),
                    "stranger": sure,
                }
            )
        )
    return found


def _strangers(played: Played, learner: Learner[Any], rejected: Rejections, place: int) -> pd.DataFrame:
    """A row a stranger of an episode, with the class that it is most like."""
    episode, pool = played.episodes[place], played.pool
    scores = learner.adapt(support_of(pool, episode, learner.reads)).logits(inputs(pool, episode.strangers, learner.reads))
    names = np.array(pool.types, dtype=object)
    return pd.DataFrame(
        {
            "product_id": pool.product_ids.astype(str)[episode.strangers],
            "answered": names[episode.types[scores.argmax(axis=1)]],
            "probability": softmax(scores.astype(np.float64), axis=1).max(axis=1),
            "stranger": rejected.strangers[place],
        }
    )
