"""What clients send to the recommender and get from it, and how answers are made of predictions."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, create_model, field_validator

from database.events import EventRow, Past
from models.recommender.answers import Basis, Event, EventKind, KnownUser, Query, ReasonKind, Recommendation, Recommendations
from serving.schemas import UUID, Count, Id, Instant, PredictionId, RequestModel, ResponseModel, Served, Word, identifier
from serving.slots import Answer

MODEL = "recommender"
MAX_RECENT = 200
MAX_CATEGORIES = 50
MAX_RECOMMENDATIONS = 100

ChosenItem = Annotated[Id, AfterValidator(str)]
"""An item in feedback; 5 and "5" are the same."""

_REPEATED = uuid.UUID("5f0a1c58-6a53-4f0e-9a3c-5b6f0b7f3a11")
"""Namespace of the ids of events that a request with an idempotency key brings."""

EventId = Annotated[str, Field(pattern=UUID.replace("a-f", "a-fA-F")), AfterValidator(str.lower)]


class RecentItem(RequestModel):
    """Something that happened to an item."""

    item_id: Id = Field(description='as the catalogue names it; 5 and "5" are the same', examples=["B0012Y0ZG2"])
    kind: EventKind = Field("purchase", examples=["view"])
    at: Instant | None = Field(None, description="when it happened, ISO 8601 with a zone; not more than a day in the future")


def _recent(value: Any) -> RecentItem:
    """A bare id, or an object."""
    return RecentItem.model_validate(value) if isinstance(value, dict) else RecentItem(item_id=identifier(value))


class RecommendationsIn(RequestModel):
    """Who asks, and within which bounds; every field may be missing."""

    user_id: Id | None = Field(
        None, description="a user that is not known is answered from events, or with popular items", examples=["A1YJEY40YUW4SE"]
    )
    recent_items: list[Annotated[RecentItem, PlainValidator(_recent, json_schema_input_type=RecentItem | Id)]] = Field(
        default_factory=list,
        max_length=MAX_RECENT,
        description="what happened and was not sent as an event, oldest first; ids (bought) or objects",
        examples=[["B0012Y0ZG2", {"item_id": "B000142FVW", "kind": "view"}]],
    )
    categories: list[Annotated[Word, Field(min_length=1)]] = Field(
        default_factory=list, max_length=MAX_CATEGORIES, description="of any level; items of others are left out; empty: all"
    )
    price_min: float | None = Field(None, ge=0, le=1e12, description="cheaper items, and those without a price, are left out")
    price_max: float | None = Field(
        None, ge=0, le=1e12, description="dearer items, and those without a price, are left out; at least price_min"
    )
    exclude_bought: bool = Field(True, description="leave out what the user has bought", examples=[True])
    num_recs: Count = Field(10, ge=1, le=MAX_RECOMMENDATIONS, description="items at most", examples=[10])
    diversity: float = Field(0.0, ge=0, le=1, description="0: by score alone; 1: as unlike each other as can be", examples=[0.2])

    @field_validator("price_max")
    @classmethod
    def _above_min(cls, value: float | None, info: ValidationInfo) -> float | None:
        lowest = info.data.get("price_min")
        if value is not None and lowest is not None and value < lowest:
            raise ValueError(f"must be at least price_min, {lowest:g}")
        return value

    def query(self, stored: Sequence[Past]) -> Query:
        """As the model takes it; events that are `stored` come before those in the request."""
        before = [Event(row.item_id, row.kind, row.occurred_at) for row in stored]
        return Query(
            user_id=self.user_id,
            events=(*before, *(Event(item.item_id, item.kind, item.at) for item in self.recent_items)),
            categories=tuple(self.categories),
            price_min=self.price_min,
            price_max=self.price_max,
            exclude_bought=self.exclude_bought,
            num_recs=self.num_recs,
            diversity=self.diversity,
        )


class EventIn(RecentItem):
    """Something that a user did with an item."""

    user_id: Id = Field(examples=["A1YJEY40YUW4SE"])
    kind: EventKind = Field(examples=["view"])
    event_id: EventId | None = Field(None, description="UUID of your own: the same event sent again counts once")
    prediction_id: PredictionId | None = Field(
        None, description="of the recommendation that led to it; a purchase is feedback on that prediction as well"
    )

    def row(self, now: datetime, event_id: str) -> EventRow:
        """As it is stored; without a time of its own it happened `now`, without an id of its own it gets `event_id`."""
        return EventRow(
            user_id=str(self.user_id),
            item_id=str(self.item_id),
            kind=self.kind,
            occurred_at=self.at or now,
            created_at=now,
            prediction_id=self.prediction_id,
            event_id=self.event_id or event_id,
        )


class EventsIn(RequestModel):
    """Events in the order in which they happened."""

    events: list[EventIn]

    def rows(self, now: datetime, key: str | None, owner: str) -> list[EventRow]:
        """Of events without a time, the later in the list is a microsecond later.

        Where a `key` names the request, the events of its repetition by the same `owner` have the ids that they had before.
        """
        rows = []
        for i, event in enumerate(self.events):
            said = (owner, key, i, str(event.user_id), str(event.item_id), event.kind, event.at, event.prediction_id)
            named = uuid.uuid5(_REPEATED, repr(said)) if key else uuid.uuid4()
            rows.append(event.row(now + timedelta(microseconds=i), str(named)))
        return rows


def events_in(limit: int) -> type[EventsIn]:
    """`EventsIn` with at most `limit` events: more are refused before they are looked at."""
    example = [{"user_id": "A1YJEY40YUW4SE", "item_id": "B0012Y0ZG2", "kind": "view"}]
    bounded = Field(min_length=1, max_length=limit, examples=[example])
    return create_model("EventsIn", __base__=EventsIn, __doc__=EventsIn.__doc__, events=(list[EventIn], bounded))


class Reason(ResponseModel):
    """What a score rests on most."""

    kind: ReasonKind = Field(examples=["bought_together"])
    text: str = Field(description="one sentence for a person", examples=["Often bought with B0012Y0ZG2, which you bought."])
    item_id: int | str | None = Field(description="item of the history that is the reason", examples=["B0012Y0ZG2"])
    attributes: list[str] = Field(description="what both items have in common, where that is the reason")
    drop: float = Field(description="how far the score falls without this reason", examples=[0.41])


class Item(ResponseModel):
    """One recommended item."""

    item_id: int | str = Field(examples=["B000142FVW"])
    title: str | None = Field(
        description="as in the catalogue that it was trained on; null where that has none", examples=["Blue Denim Jacket"]
    )
    price: float | None = Field(
        description="in the catalogue's currency, when the version was trained; null where it has none", examples=[2199.0]
    )
    article_type: str | None = Field(
        description="category of the lowest level; null where the catalogue has none", examples=["Jackets"]
    )
    score: float = Field(description="sum of parts; comparable within one answer only", examples=[1.27])
    parts: dict[str, float] = Field(description="what each part of the model adds")
    reason: Reason


class Recommended(ResponseModel):
    """Items, best first; fewer than asked for where the bounds leave fewer."""

    prediction_id: str = Field(description="names this answer in events and in POST /v1/feedback")
    model: Served
    basis: Basis = Field(description="history: the version knows the user; session: events alone; popularity: nothing is known")
    history: int = Field(description="number of items that the answer rests on", examples=[12])
    ignored: list[int | str] = Field(description="items of events that the version does not know")
    items: list[Item]


class BoughtItem(ResponseModel):
    """An item that a user bought."""

    item_id: int | str = Field(examples=["B000142FVW"])
    title: str | None = Field(description="as in the catalogue that it was trained on; null where that has none")
    price: float | None = Field(description="in the catalogue's currency, when the version was trained; null where it has none")
    article_type: str | None = Field(description="category of the lowest level; null where the catalogue has none")


class KnownBuyer(ResponseModel):
    """A user whose history the version knows."""

    user_id: int | str = Field(examples=["A1YJEY40YUW4SE"])
    purchases: int = Field(description="different items that the user bought", examples=[12])
    newest: list[BoughtItem] = Field(description="ten of them at most, newest first where their order is known")


class KnownBuyers(ResponseModel):
    """Some users; those with 5 to 50 purchases first. A version always answers with the same ones."""

    model: Served
    users: list[KnownBuyer]


class Stored(ResponseModel):
    """Answer of POST /v1/recommendations/events."""

    count: int = Field(description="events of this request that are stored", examples=[1])
    repeated: int = Field(description="those of them that were stored before, by their event_id", examples=[0])


def recommended(answer: Answer) -> Recommended:
    """The answer, with a new id."""
    found: Recommendations = answer.prediction
    return Recommended(
        prediction_id=str(uuid.uuid4()),
        model=Served(name=MODEL, version=answer.version),
        basis=found.basis,
        history=found.history,
        ignored=list(found.ignored),
        items=[_item(item) for item in found.items],
    )


def _item(item: Recommendation) -> Item:
    reason = item.reason
    return Item(
        item_id=item.item_id,
        title=item.title,
        price=item.price,
        article_type=item.article_type,
        score=round(item.score, 6),
        parts={name: round(part, 6) for name, part in item.parts.items()},
        reason=Reason(
            kind=reason.kind,
            text=reason.text,
            item_id=reason.item_id,
            attributes=list(reason.attributes),
            drop=round(reason.drop, 6),
        ),
    )


def buyers(answer: Answer) -> KnownBuyers:
    """Users as they are answered."""
    known: list[KnownUser] = answer.prediction
    users = [
        KnownBuyer(user_id=user.user_id, purchases=user.purchases, newest=[BoughtItem(**vars(item)) for item in user.newest])
        for user in known
    ]
    return KnownBuyers(model=Served(name=MODEL, version=answer.version), users=users)
