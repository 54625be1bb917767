"""What listings of each article type usually have: parts, attributes, lengths of texts, and what their titles name.

A type with few products takes the norms of its sub-category, else those of all.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from catalog.listing import CATEGORY_LEVELS, Listing
from catalog.text import clean_html
from configs.schema import StrictModel
from models.quality.config import MemoryConfig
from models.quality.memory.known import ENDS, FINEST, Known, length, pairs, plain, singular, words

COMPONENTS = ("brand", "gender", "base_colour", "article_type")
"""What a title may name, in no order."""
LOW, HIGH = 0.1, 0.99
"""Quantiles of a text's words between which its length is usual."""


@dataclass(frozen=True)
class Usual:
    """An attribute that most products of a type have.

    Attributes:
        name: Field or attribute, as in `models.quality.memory.known.pairs`.
        share: Share of the type's products that have it.
        of: How many products that is a share of.
        group: What they are called, such as "Tshirts" or "the catalogue's products".
    """

    name: str
    share: float
    of: int
    group: str


class Norm(StrictModel):
    """Of one type, sub-category or the whole catalogue."""

    rows: int
    parts: dict[str, float] = Field(description="share of listings with a title, description, image, price, article_type")
    names: dict[str, float] = Field(description="share of listings that have a field or attribute, from a tenth on")
    title_words: tuple[float, float] = Field(description="usual least and most")
    description_words: tuple[float, float] = Field(description="usual least and most")
    named: dict[str, float] = Field(description="share of titles that name their brand, gender, colour and type")
    places: dict[str, float] = Field(description="where in a title each is named: 0 at its beginning, 1 at its end")
    called: str = Field(description="word by which titles most often call the type, such as Tshirt; empty where they do not")


class Norms(StrictModel):
    """Of a catalogue."""

    everything: Norm
    groups: dict[str, Norm] = Field(description="by article type and by sub-category, those with products enough")
    parents: dict[str, str] = Field(description="article type to its sub-category")
    vocabulary: dict[str, tuple[str, ...]] = Field(description="words by which titles name brands, genders, colours and types")
    usual_share: float

    @classmethod
    def fit(cls, products: Sequence[Known], with_image: Sequence[bool], config: MemoryConfig) -> "Norms":
        """Count the products of a catalogue; `with_image` says which have a photo."""
        groups: dict[str, list[int]] = defaultdict(list)
        parents: dict[str, str] = {}
        for i, product in enumerate(products):
            kind, above = product.article_type, product.listing.categories.get(CATEGORY_LEVELS[1])
            for group in {kind, above} - {None}:
                assert group is not None
                groups[group].append(i)
            if kind and above:
                parents.setdefault(kind, above)
        vocabulary = _vocabulary(products)
        sets = {name: frozenset(held) for name, held in vocabulary.items()}
        told = [_Told.of(product.listing, image, sets) for product, image in zip(products, with_image, strict=True)]
        return cls(
            everything=_norm(told),
            groups={g: _norm([told[i] for i in rows]) for g, rows in groups.items() if len(rows) >= config.min_type_rows},
            parents=parents,
            vocabulary=vocabulary,
            usual_share=config.usual,
        )

    def of(self, article_type: str | None) -> tuple[Norm, str]:
        """The norm that a type goes by, and whose it is, in words."""
        for group in (article_type, self.parents.get(article_type or "")):
            if group and group in self.groups:
                return self.groups[group], f"{group} listings"
        return self.everything, "the catalogue's listings"

    def usual(self, article_type: str | None) -> tuple[Usual, ...]:
        """What is expected of a listing of the type, the most usual first."""
        norm, group = self.of(article_type)
        found = [Usual(name, share, norm.rows, group) for name, share in norm.names.items() if share >= self.usual_share]
        return tuple(sorted(found, key=lambda usual: (-usual.share, usual.name)))

    def share_with(self, part: str, article_type: str | None) -> float:
        """Share of the type's listings that have a title, description, image, price or article_type."""
        return self.of(article_type)[0].parts[part]

    def names_in(self, title: str) -> dict[str, tuple[int, ...]]:
        """Of each of `COMPONENTS` that a title names, the places of its words."""
        return _named(words(title), {name: frozenset(held) for name, held in self.vocabulary.items()})


@dataclass(frozen=True)
class _Told:
    """What one listing has."""

    parts: frozenset[str]
    names: frozenset[str]
    title_words: int
    description_words: int
    named: Mapping[str, tuple[int, ...]]
    called: str

    @classmethod
    def of(cls, listing: Listing, image: bool, vocabulary: Mapping[str, frozenset[str]]) -> "_Told":
        there = {
            "title": bool(listing.title),
            "description": bool(listing.description),
            "image": image,
            "price": listing.price is not None,
            FINEST: FINEST in listing.categories,
        }
        title = words(listing.title)
        named = _named(title, vocabulary)
        return cls(
            parts=frozenset(part for part, present in there.items() if present),
            names=frozenset(name for name, _ in pairs(listing)),
            title_words=length(listing.title),
            description_words=length(listing.description),
            named=named,
            called=_spelled(listing.title or "", named[FINEST][-1]) if FINEST in named else "",
        )


def _spelled(title: str, place: int) -> str:
    """The word of a title that is at a place among its `words`, as it is written there."""
    kept = [clean for word in clean_html(title).split() if (clean := word.strip(ENDS))]
    return kept[place] if place < len(kept) else ""


def _norm(told: Sequence[_Told]) -> Norm:
    rows = max(len(told), 1)
    names = Counter(name for one in told for name in one.names)
    titles = [one for one in told if one.title_words]
    places: dict[str, list[float]] = defaultdict(list)
    for one in titles:
        for name, found in one.named.items():
            places[name].append(found[0] / max(one.title_words - 1, 1))
    return Norm(
        rows=len(told),
        parts={
            part: sum(part in one.parts for one in told) / rows for part in ("title", "description", "image", "price", FINEST)
        },
        names={name: count / rows for name, count in sorted(names.items()) if count / rows >= 0.1},
        title_words=_range([one.title_words for one in titles]),
        description_words=_range([one.description_words for one in told if one.description_words]),
        named={name: len(places[name]) / max(len(titles), 1) for name in COMPONENTS},
        places={name: float(np.mean(found)) for name, found in places.items() if found},
        called=next((word for word, _ in Counter(one.called for one in titles if one.called).most_common(1)), ""),
    )


def _range(lengths: Sequence[int]) -> tuple[float, float]:
    return (float(np.quantile(lengths, LOW)), float(np.quantile(lengths, HIGH))) if lengths else (1.0, 1.0)


def _vocabulary(products: Sequence[Known]) -> dict[str, tuple[str, ...]]:
    """Brands, genders and colours as they are given, and types by the words that their titles have and few others do."""
    found: dict[str, set[str]] = {name: set() for name in COMPONENTS}
    for product in products:
        for name in COMPONENTS[:3]:
            if value := product.listing.fields.get(name):
                found[name].add(" ".join(words(value)))
        if kind := product.article_type:
            found[FINEST].update(_stems(kind))
    return {name: tuple(sorted(held - {""})) for name, held in found.items()}


def _stems(kind: str) -> set[str]:
    """What a title may call a type: its last word, and that before an "and", in singular and plural."""
    heads = {part.split()[-1] for part in " ".join(words(kind)).split(" and ") if part.split()}
    return {form for head in heads for form in (plain(head), singular(head))}


def _forms(word: str) -> set[str]:
    """Spellings of one word: men's and mens are men."""
    word = word.removesuffix("'s").removesuffix("\u2019s").removesuffix("s'")
    return {plain(word), singular(word)}


def _named(title: Sequence[str], vocabulary: Mapping[str, frozenset[str]]) -> dict[str, tuple[int, ...]]:
    """What a title names: the longest value at each place."""
    found: dict[str, tuple[int, ...]] = {}
    for name, held in vocabulary.items():
        for start in range(len(title)):
            ends = [end for end in range(min(start + 4, len(title)), start, -1) if " ".join(title[start:end]) in held]
            if not ends and name in (FINEST, "gender") and _forms(title[start]) & held:
                ends = [start + 1]
            if ends:
                found[name] = tuple(range(start, ends[0]))
                break
    return found
