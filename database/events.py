"""What users did with items: read before each recommendation, and by the next training."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.dialects import postgresql, sqlite

from database.engine import reading, writing
from database.predictions import add_feedback
from database.tables import Event as EventTable

EventKind = Literal["view", "cart", "purchase"]
CHOSEN = "item_id"
"""Label of the feedback that a purchase is for the prediction it names."""


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """Something a user did with an item.

    Attributes:
        user_id: As text, whatever the catalogue's type is.
        item_id: As text, whatever the catalogue's type is.
        occurred_at: Aware time at which it happened; events are ordered by it.
        prediction_id: The recommendation that led to it, where the client says so.
        event_id: UUID that tells a retry from a second event.
        created_at: Aware time at which it was told.
    """

    user_id: str
    item_id: str
    kind: EventKind
    occurred_at: datetime
    prediction_id: str | None = None
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Past(NamedTuple):
    """What an answer needs of an event; reading no more than that takes half the time."""

    item_id: str
    kind: EventKind
    occurred_at: datetime


_COLUMNS = tuple(column.name for column in fields(EventRow))


def insert_events(url: str, rows: Sequence[EventRow], takes: Callable[[str], bool] = lambda _: True) -> int:
    """Write `rows` in one transaction; returns how many are new. An event_id that is there already is left alone.

    A new purchase that names a prediction, of a model that `takes` it, is feedback on it as well: its item is the one that was
    chosen.

    Raises:
        NotFound: such a prediction does not exist; then none of `rows` is written.
        OtherModel: it is of another model; then none of `rows` is written.
        DatabaseError: unreachable; then none of `rows` is written.
    """
    by_id = {row.event_id: row for row in reversed(rows)}  # of two rows with one id the first counts
    distinct = [row for row in rows if by_id[row.event_id] is row]
    if not distinct:
        return 0
    with writing(url) as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(EventTable).on_conflict_do_nothing(index_elements=["event_id"])
        new = set(connection.scalars(statement.returning(EventTable.event_id), [vars(row) for row in distinct]))
        for row in distinct:
            if row.event_id in new and row.kind == "purchase" and row.prediction_id is not None:
                add_feedback(connection, row.prediction_id, {CHOSEN: row.item_id}, takes)
    return len(new)


def newest_events(url: str, user_id: str, limit: int) -> list[Past]:
    """The newest `limit` events of a user, oldest first."""
    with reading(url) as connection:
        return [Past(*row) for row in connection.execute(newest_query(user_id, limit))][::-1]


def all_events(url: str, batch: int = 10_000) -> Iterator[EventRow]:
    """Every event in the order of time, from one snapshot; `batch` rows are held at a time.

    Raises:
        DatabaseError: the database cannot be read.
    """
    with reading(url) as connection:
        for row in connection.execution_options(yield_per=batch).execute(all_query()):
            yield EventRow(**dict(zip(_COLUMNS, row, strict=True)))


def newest_query(user_id: str, limit: int) -> Select[Any]:
    """What `newest_events` asks: answered from an index, newest first."""
    mine = _query(Past._fields).where(EventTable.user_id == user_id)
    return mine.order_by(EventTable.occurred_at.desc(), EventTable.id.desc()).limit(limit)


def all_query() -> Select[Any]:
    """What `all_events` asks: answered in the order of an index."""
    return _query(_COLUMNS).order_by(EventTable.occurred_at, EventTable.id)


def _query(columns: Sequence[str]) -> Select[Any]:
    return select(*(EventTable.__table__.columns[name] for name in columns))
