"""What the recommender is asked, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Key = int | str
"""A user or an item as its catalogue names it; 5 and "5" are the same."""

EventKind = Literal["view", "cart", "purchase"]
Basis = Literal["history", "session", "popularity"]
ReasonKind = Literal["bought_together", "bought_next", "attention_path", "shared_attributes", "similar_content", "popular"]


@dataclass(frozen=True)
class Event:
    """Something a user did with an item."""

    item_id: Key
    kind: EventKind = "purchase"
    at: datetime | None = None


@dataclass(frozen=True)
class Query:
    """Who asks, and within which bounds.

    Attributes:
        user_id: None for a visitor.
        events: What happened since the version was trained, oldest first; added to what it knows of the user.
        categories: Values of any category level; items of other categories are left out. Empty: all.
        price_min: Cheaper items, and items without a price, are left out.
        price_max: Dearer items, and items without a price, are left out.
        exclude_bought: Leave out what the user has bought; what was only viewed or put in the cart may come.
        num_recs: How many items to answer at most.
        diversity: 0: by score alone; 1: as unlike each other as can be (maximal marginal relevance).
        exclude: Ids, as text, of items that are neither answered nor named as a reason; what the user did with them still counts.
    """

    user_id: Key | None = None
    events: tuple[Event, ...] = ()
    categories: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    exclude_bought: bool = True
    num_recs: int = 10
    diversity: float = 0.0
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reason:
    """What an item's score rests on most: without it, the score falls by `drop`.

    Attributes:
        kind: Which part of the model says so.
        text: One sentence for a person.
        item_id: The item of the user's history that is the reason; None where the item is popular.
        attributes: What both items have in common, where that is the reason.
        drop: Fall of the score, in its own unit, when the reason is taken away.
    """

    kind: ReasonKind
    text: str
    drop: float
    item_id: Key | None = None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """One item.

    Attributes:
        score: Sum of `parts`; comparable within one answer only.
        parts: What each part of the blend adds.
        title: As the catalogue had it when the version was trained, like price and type; None where it had none.
        price: In the catalogue's currency.
        article_type: The lowest category level.
    """

    item_id: Key
    score: float
    parts: Mapping[str, float]
    reason: Reason
    title: str | None = None
    price: float | None = None
    article_type: str | None = None


@dataclass(frozen=True)
class Recommendations:
    """The answer to one query.

    Attributes:
        items: Best first; fewer than asked for where the bounds leave fewer.
        basis: history: the user is known to the version; session: events alone; popularity: nothing is known.
        history: Number of items that the answer rests on.
        ignored: Items of the events that the version does not know, once each.
        history_popularity: Mean share of the catalogue's items that sold less in training than an item of the history, 0…1.
        shown_popularity: The same of the items of the answer.
    """

    items: tuple[Recommendation, ...]
    basis: Basis
    history: int
    ignored: tuple[Key, ...] = ()
    history_popularity: float | None = None
    shown_popularity: float | None = None


@dataclass(frozen=True)
class Bought:
    """A product of a user's history, as the catalogue had it when the version was trained."""

    item_id: Key
    title: str | None = None
    price: float | None = None
    article_type: str | None = None


@dataclass(frozen=True)
class KnownUser:
    """A user whom a version knows.

    Attributes:
        purchases: Different items.
        newest: Of them, newest first where their order is known.
    """

    user_id: Key
    purchases: int
    newest: tuple[Bought, ...]
