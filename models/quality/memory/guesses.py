"""Values that a listing lacks, from its own words and from what the most similar products of its type have.

How sure a value is, is measured: for words, how often a value that title or description names is the given one ("skin" in a
description is seldom a colour), values that are seldom named after what holds for the others; for neighbours, by isotonic
regression of being right on the share of votes (Zadrozny and Elkan 2002).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from catalog.listing import Listing
from models.quality.config import MemoryConfig
from models.quality.memory.known import Known, pairs, reads, words

SHRINK = 5.0
"""Made-up answers that are added to those counted, wrong ones for a name, and for a value as the name's other values are."""
TRIED = 4000
"""Products, at most, by which it is measured how sure a guess is."""
NEGATIONS = frozenset({"no", "not", "non", "without", "never", "except", "faux", "fake", "imitation"}) | frozenset(
    {"nicht", "kein", "keine", "ohne", "sans", "pas", "sin"}
)
"""Of English, and the commonest of German, French and Spanish."""
BEFORE = 3
"""Words before a value in which a negation is one of it: "not made of cotton"."""
MOST_VALUES = 120
"""Of a name, that are guessed: the rarer ones nobody would vote for, and 8 bits hold these."""


@dataclass(frozen=True)
class Guess:
    """A value that a listing lacks.

    Attributes:
        name: Field or attribute, as in `models.quality.memory.known.pairs`.
        value: As other listings give it.
        confidence: How often such a guess is right, 0 to 1.
        why: What it rests on, a phrase.
    """

    name: str
    value: str
    confidence: float
    why: str


@dataclass(frozen=True)
class Guesses:
    """Fitted on a catalogue of n products.

    Attributes:
        values: Of each name, the values that products have.
        codes: int8 [n, names], which value each product has; -1 where none.
        types: The article type of each product.
        words_right: How often what a text names is what is given, by `_key` of the part and name, and of the value too.
        votes, right: Share of votes to share of right answers, rising; what lies between is interpolated.
    """

    values: Mapping[str, tuple[str, ...]]
    codes: NDArray[np.int8]
    types: tuple[str, ...]
    words_right: Mapping[str, float]
    votes: NDArray[np.float64]
    right: NDArray[np.float64]
    config: MemoryConfig

    @classmethod
    def fit(
        cls, products: Sequence[Known], vectors: NDArray[np.float16], names: Sequence[str], config: MemoryConfig, seed: int
    ) -> Self:
        """Of products with their projected features [n, d]; `names` are those that some type usually has, but brands."""
        kept = [name for name in names if name != "brand"]
        held = [dict(pairs(product.listing)) for product in products]
        counts = {name: Counter(h[name] for h in held if name in h) for name in kept}
        values = {name: tuple(value for value, _ in count.most_common(MOST_VALUES)) for name, count in counts.items()}
        index = {name: {value: i for i, value in enumerate(found)} for name, found in values.items()}
        codes = np.array([[index[name].get(h.get(name, ""), -1) for name in kept] for h in held], dtype=np.int8)
        types = tuple(product.article_type or "" for product in products)
        plain = cls(values, codes.reshape(len(products), len(kept)), types, {}, np.zeros(1), np.zeros(1), config)
        rows = np.random.default_rng(seed).permutation(len(products))[:TRIED]
        told = plain._words_right([products[i].listing for i in rows])
        votes, right = plain._votes_right(rows, vectors)
        return cls(values, plain.codes, types, told, votes, right, config)

    def guess(
        self, listing: Listing, article_type: str | None, lacking: Sequence[str], vector: NDArray[Any], vectors: NDArray[Any]
    ) -> list[Guess]:
        """One value at most for each name that the listing lacks, where it is sure enough.

        `vector` [d] is that of the listing, `vectors` [n, d] those of the products that this was fitted on.
        """
        near = self._near(article_type, vector, vectors, None) if np.any(vector) else None
        found = []
        for name in lacking:
            if name not in self.values:
                continue
            by_words = self._in_text(listing, name)
            by_votes = None if near is None else self._voted(name, near)
            best = max(filter(None, (by_words, by_votes)), key=lambda guess: guess.confidence, default=None)
            if best is not None and best.confidence >= self.config.least_confidence:
                found.append(best)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a bundle stores beside `values`, `types` and `words_right`."""
        return {"codes": self.codes, "votes": self.votes, "right": self.right}

    def _in_text(self, listing: Listing, name: str) -> Guess | None:
        """The longest value of the name that title or description says, unless they say two."""
        for part, text in (("title", listing.title), ("description", listing.description)):
            if (value := said(words(text), self._phrases[name])) is not None:
                right = self.words_right
                sure = right.get(_key(part, name, value), right.get(_key(part, name), 0.0))
                return Guess(name, value, sure, f"the {part} says {value!r}")
        return None

    @cached_property
    def _phrases(self) -> Mapping[str, Mapping[tuple[str, ...], str]]:
        """Of each name, the words of a value to the value."""
        return {
            name: {tuple(words(value)): value for value in reversed(values) if words(value)}
            for name, values in self.values.items()
        }

    @cached_property
    def _rows(self) -> Mapping[str, NDArray[np.int64]]:
        """Products of each article type."""
        groups: dict[str, list[int]] = defaultdict(list)
        for i, kind in enumerate(self.types):
            groups[kind].append(i)
        return {kind: np.array(rows) for kind, rows in groups.items() if kind}

    def _near(
        self, article_type: str | None, vector: NDArray[Any], vectors: NDArray[Any], own: int | None
    ) -> NDArray[np.int64] | None:
        rows = self._rows.get(article_type or "")
        if rows is None:
            return None
        cosines = vectors[rows].astype(np.float32) @ vector.astype(np.float32)
        if own is not None:
            cosines[rows == own] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: self.config.neighbours]
        return np.asarray(rows[best[np.isfinite(cosines[best])]])

    def _voted(self, name: str, near: NDArray[np.int64]) -> Guess | None:
        votes = self.codes[near, list(self.values).index(name)]
        votes = votes[votes >= 0]
        if len(votes) < 3:
            return None
        value, count = Counter(votes.tolist()).most_common(1)[0]
        confidence = float(np.interp(count / len(votes), self.votes, self.right))
        why = f"{count} of the {len(votes)} most similar listings that give the {reads(name)} have it"
        return Guess(name, self.values[name][value], confidence, why)

    def _words_right(self, listings: Sequence[Listing]) -> dict[str, float]:
        right, asked = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
        for listing in listings:
            texts = {"title": Listing(title=listing.title), "description": Listing(description=listing.description)}
            for name, value in pairs(listing):
                for part, text in texts.items():
                    if name in self.values and (guess := self._in_text(text, name)):
                        for key in ((part, name), (part, name, guess.value)):
                            asked[key] += 1
                            right[key] += guess.value == value
        found: dict[tuple[str, ...], float] = {key: right[key] / (asked[key] + SHRINK) for key in asked if len(key) == 2}
        found |= {key: (right[key] + SHRINK * found[key[:2]]) / (asked[key] + SHRINK) for key in asked if len(key) == 3}
        return {_key(*key): share for key, share in found.items()}

    def _votes_right(self, rows: NDArray[np.int64], vectors: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shares, right = [0.0, 1.0], [0.0, 0.0]
        for row in rows:
            near = self._near(self.types[row], vectors[row], vectors, int(row))
            if near is None:
                continue
            for place in range(len(self.values)):
                votes = self.codes[near, place]
                votes = votes[votes >= 0]
                if self.codes[row, place] < 0 or len(votes) < 3:
                    continue
                value, count = Counter(votes.tolist()).most_common(1)[0]
                shares.append(count / len(votes))
                right.append(float(self.codes[row, place] == value))
        fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(shares, right)
        return np.asarray(fitted.X_thresholds_, dtype=np.float64), np.asarray(fitted.y_thresholds_, dtype=np.float64)


def said(text: Sequence[str], phrases: Mapping[tuple[str, ...], str]) -> str | None:
    """The value that a text says; None where it says none, or different ones. A longer value hides a shorter one in it."""
    longest = max(map(len, phrases), default=0)
    found, start = set(), 0
    while start < len(text):
        for size in range(min(longest, len(text) - start), 0, -1):
            value = phrases.get(tuple(text[start : start + size]))
            if value is not None:
                if not _denied(text, start, start + size):
                    found.add(value)
                start += size - 1
                break
        start += 1
    return found.pop() if len(found) == 1 else None


def _denied(text: Sequence[str], start: int, end: int) -> bool:
    """Whether the words from start to end are said not to hold: "not made of cotton", "leather free"."""
    return bool(NEGATIONS & set(text[max(0, start - BEFORE) : start])) or text[end : end + 1] == ["free"]


def _key(*names: str) -> str:
    return json.dumps(names, ensure_ascii=False)
