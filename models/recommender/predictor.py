"""From queries to recommendations."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import NotSupported
from models.recommender import bundle
from models.recommender.answers import Basis, Bought, Key, KnownUser, Query, Recommendation, Recommendations
from models.recommender.candidates import Candidates
from models.recommender.config import RecommenderModelConfig
from models.recommender.diversity import marginal_relevance
from models.recommender.interactions import BOUGHT, Histories
from models.recommender.model import Recommender
from models.recommender.readings import Floats, Reading
from models.recommender.reasons import read, reasons

TELLING = range(5, 51)
"""Purchases that say what a user likes, and can be seen at a glance."""
NEWEST = 10
"""Purchases of a user that are named."""


@dataclass(frozen=True)
class Ranked:
    """An answer without reasons.

    Attributes:
        codes: Of its items [n], best first.
        scores: Of each [n].
        parts: What each part of the blend adds to them [n].
    """

    codes: NDArray[np.int64]
    scores: Floats
    parts: Mapping[str, Floats]


class RecommenderPredictor:
    """A trained recommender ready to answer. Safe to call from several threads: what changes is one reference."""

    name = "recommender"

    def __init__(
        self, recommender: Recommender, users: Sequence[Key], histories: Histories, config: RecommenderModelConfig
    ) -> None:
        self.recommender, self.histories, self.config = recommender, histories, config
        self._keys = users
        self._users = {str(key): row for row, key in enumerate(users)}
        self._candidates = Candidates.of(recommender, config.candidates)
        self._excluded = (frozenset[str](), np.zeros(len(recommender.items), dtype=bool))  # of the last query

    @classmethod
    def load(cls, folder: Path) -> "RecommenderPredictor":
        """Read a bundle and warm up.

        Raises:
            VitrinaError: a file is missing or damaged.
        """
        settings = bundle.load_config(folder)
        predictor = cls(*bundle.load(folder, settings), settings.config.model)
        predictor.recommend([Query(), Query(user_id=next(iter(predictor._users), None))])
        return predictor

    def recommend(self, queries: Sequence[Query]) -> list[Recommendations]:
        """One answer a query.

        Raises:
            VitrinaError: a category or a price bound that the catalogue does not know.
        """
        return [self._answer(query, mask) for query, mask in zip(queries, self._allowed(queries), strict=True)]

    def rank(self, queries: Sequence[Query]) -> list[NDArray[np.int64]]:
        """Codes of the items that `recommend` answers each query with, best first, without the second reading for reasons.

        Raises:
            VitrinaError: see `recommend`.
        """
        return [ranked.codes for ranked in self.ranked(queries)]

    def ranked(self, queries: Sequence[Query]) -> list[Ranked]:
        """What `rank` gives, with scores.

        Raises:
            VitrinaError: see `recommend`.
        """
        found = []
        for query, mask in zip(queries, self._allowed(queries), strict=True):
            history, _, _ = self._history(query)
            found.append(self._ranked(query, mask, history, self.recommender.read(history)))
        return found

    def knows(self, user_id: Key) -> bool:
        """Whether a user was among those that the version was trained on."""
        return str(user_id) in self._users

    def lists(self, product_id: str) -> bool:
        """Whether an item is one of those that are recommended; see `models.family.Lists`."""
        return product_id in self.recommender.items.codes

    def known_users(self, counts: Sequence[int]) -> list[list[KnownUser]]:
        """So many users whose histories the version knows, for each count: always the same ones.

        Those with purchases in `TELLING` come first, drawn by a hash of their ids; then the others who bought something.

        Raises:
            NotSupported: it knows no user who bought anything.
        """
        if not len(self._examples):
            raise NotSupported("this version knows no user who bought anything")
        return [[self._known_user(int(row)) for row in self._examples[:count]] for count in counts]

    @cached_property
    def _examples(self) -> NDArray[np.int64]:
        """Rows of users with purchases, those who are shown first in front."""
        rows = np.repeat(np.arange(len(self.histories)), self.histories.lengths)
        purchases = np.bincount(rows[self.histories.weights >= BOUGHT], minlength=len(self.histories))
        drawn = np.array([zlib.crc32(str(key).encode()) for key in self._keys], dtype=np.int64)
        others = ~np.isin(purchases, TELLING)
        order = np.lexsort((drawn, others))
        return order[purchases[order] > 0]

    def _known_user(self, row: int) -> KnownUser:
        codes, weights = self.histories.user(row)
        bought, items = codes[weights >= BOUGHT][::-1], self.recommender.items
        newest = tuple(
            Bought(items.keys[code], items.titles[code] or None, items.price(code), items.article_type(code))
            for code in bought[:NEWEST].tolist()
        )
        return KnownUser(self._keys[row], len(bought), newest)

    def _allowed(self, queries: Sequence[Query]) -> list[NDArray[np.bool_]]:
        """Items [I] within the bounds of each query."""
        allowed = self.recommender.items.allowed
        return [allowed(q.categories, q.price_min, q.price_max) & ~self._left_out(q.exclude) for q in queries]

    def _left_out(self, ids: frozenset[str]) -> NDArray[np.bool_]:
        """Items [I] of these ids; the same set is looked up once, as it is that of one query after another."""
        known, mask = self._excluded
        if ids is not known:
            codes = self.recommender.items.codes
            mask = np.zeros(len(self.recommender.items), dtype=bool)
            mask[[codes[name] for name in ids if name in codes]] = True
            self._excluded = ids, mask
        return mask

    def _answer(self, query: Query, allowed: NDArray[np.bool_]) -> Recommendations:
        history, ignored, known = self._history(query)
        readings = read(self.recommender, history, self.config.reasons)
        whole = {name: reading.first() for name, reading in readings.items()}
        ranked = self._ranked(query, allowed, history, whole)
        found = reasons(
            self.recommender, history, readings, ranked.codes, ranked.parts, self.config.reasons, self._left_out(query.exclude)
        )
        items, catalogue, popularity = history.items, self.recommender.items, self.recommender.items.popularity
        basis: Basis = "history" if known else "session" if len(items) else "popularity"
        return Recommendations(
            items=tuple(
                Recommendation(
                    item_id=catalogue.keys[code],
                    score=float(ranked.scores[place]),
                    parts={name: float(added[place]) for name, added in ranked.parts.items()},
                    reason=reason,
                    title=catalogue.titles[code] or None,
                    price=catalogue.price(code),
                    article_type=catalogue.article_type(code),
                )
                for place, (code, reason) in enumerate(zip(ranked.codes.tolist(), found, strict=True))
            ),
            basis=basis,
            history=len(items),
            ignored=ignored,
            history_popularity=float(popularity[items].mean()) if len(items) else None,
            shown_popularity=float(popularity[ranked.codes].mean()) if len(ranked.codes) else None,
        )

    def _ranked(self, query: Query, allowed: NDArray[np.bool_], history: Histories, readings: Mapping[str, Reading]) -> Ranked:
        """The answer to a query from the `readings` of its one history; `allowed` [I] are the items within its bounds."""
        items, weights = history.user(0)
        left_out = items[weights >= BOUGHT] if query.exclude_bought else items[:0]
        allowed = allowed.copy()
        allowed[left_out] = False
        codes, parts = self._scored(readings, allowed)
        scores = np.where(allowed[codes], np.sum(list(parts.values()), axis=0), -np.inf)
        order = self._order(scores, codes, query)
        return Ranked(codes[order], scores[order], {name: added[order] for name, added in parts.items()})

    def _scored(self, readings: Mapping[str, Reading], allowed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], dict[str, Floats]]:
        """Codes [n] of the items that are scored, allowed or not, and what each part adds to their scores [n]."""
        codes: NDArray[np.int64] | None = None  # all
        if self._candidates is not None:
            few = allowed.sum() <= self.config.candidates.exact
            codes = np.flatnonzero(allowed) if few else self._candidates.find(readings, self.recommender.weights)
        parts = {name: added[0] for name, added in self.recommender.weighed(readings, codes).items()}
        return np.arange(len(allowed)) if codes is None else codes, parts

    def _order(self, scores: Floats, codes: NDArray[np.int64], query: Query) -> NDArray[np.int64]:
        """Places in `codes` of the answer, in order."""
        wanted = query.num_recs * (self.config.diversity.pool if query.diversity else 1)
        count = min(int(np.isfinite(scores).sum()), wanted)
        pool = _best(scores, count)
        vectors = self.recommender.features[codes[pool]]
        return pool[marginal_relevance(scores[pool], vectors, query.num_recs, query.diversity)]

    def _history(self, query: Query) -> tuple[Histories, tuple[Key, ...], bool]:
        """What is known of the user and the events behind it; items that are not known; whether the user is."""
        row = self._users.get(str(query.user_id)) if query.user_id is not None else None
        items, weights = self.histories.user(row) if row is not None else (np.zeros(0, np.int32), np.zeros(0, np.float32))
        worth = self.config.history.worth
        codes = self.recommender.items.codes
        new = [(codes[str(event.item_id)], worth[event.kind]) for event in query.events if str(event.item_id) in codes]
        unknown = dict.fromkeys(event.item_id for event in query.events if str(event.item_id) not in codes)
        if new:
            items = np.concatenate([items, np.array([code for code, _ in new], dtype=np.int32)])
            weights = np.concatenate([weights, np.array([weight for _, weight in new], dtype=np.float32)])
        merged = Histories.of(np.zeros(len(items), dtype=np.int64), items, weights, 1)
        return merged, tuple(unknown), row is not None


def _best(scores: Floats, count: int) -> NDArray[np.int64]:
    """Places of the `count` highest of `scores` [n], best first; of equal ones the first, whatever the processor sorts by."""
    if not 0 < count < len(scores):
        chosen = np.arange(len(scores))
    else:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above = np.flatnonzero(scores > least)
        chosen = np.concatenate([above, np.flatnonzero(scores == least)[: count - len(above)]])
    return chosen[np.lexsort((chosen, -scores[chosen]))][:count]
