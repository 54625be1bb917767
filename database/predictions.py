"""What was served, and the labels that came back."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from database.engine import reading, writing
from database.errors import NotFound, OtherModel
from database.tables import Feedback, Prediction

_IDS_A_QUERY = 1000


@dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """One answer that was served.

    Attributes:
        id: UUID, given to the client for feedback.
        created_at: Aware time of the answer.
        latency_ms: Wall time of the answer in milliseconds.
        inputs: Summary of what came in; JSON values, no NaN.
        outputs: Summary of what went out; JSON values, no NaN.
        embedding: Little-endian float32 vector, or None.
    """

    model: str
    version: int
    endpoint: str
    latency_ms: float
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    embedding: bytes | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def insert_predictions(url: str, rows: Sequence[PredictionRow]) -> None:
    """Write `rows` in one transaction; a row that is there already is left alone, so a retry is safe.

    Raises:
        DatabaseError: unreachable, or a value that JSON cannot hold; then none of `rows` is written.
    """
    if not rows:
        return
    with writing(url) as connection:
        add_predictions(connection, rows)


def add_predictions(connection: Connection, rows: Sequence[PredictionRow]) -> None:
    """Write `rows` in the caller's transaction."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(Prediction).on_conflict_do_nothing(), [vars(row) for row in rows])


def newest_predictions(
    url: str, model: str, limit: int, version: int | None = None, since: datetime | None = None
) -> list[PredictionRow]:
    """At most `limit` rows of `model`, newest first; of one `version` and not older than `since` where given."""
    query = select(Prediction.__table__).where(Prediction.model == model)
    if version is not None:
        query = query.where(Prediction.version == version)
    if since is not None:
        query = query.where(Prediction.created_at >= since)
    query = query.order_by(Prediction.created_at.desc(), Prediction.id.desc()).limit(limit)
    with reading(url) as connection:
        return [PredictionRow(**row) for row in connection.execute(query).mappings()]


def last_predictions(url: str) -> dict[str, datetime]:
    """The time of the newest prediction of each model that has any; an index tells of each without reading its rows."""
    found: dict[str, datetime] = {}
    first = select(func.min(Prediction.model))
    with reading(url) as connection:
        model = connection.scalar(first)
        while model is not None:
            newest = connection.scalar(select(func.max(Prediction.created_at)).where(Prediction.model == model))
            if newest is not None:
                found[model] = newest
            model = connection.scalar(first.where(Prediction.model > model))
    return found


def insert_feedback(
    url: str, prediction_id: str, labels: Mapping[str, Any], takes: Callable[[str], bool] = lambda _: True
) -> None:
    """Keep the true values that a client knows for one prediction, of a model that `takes` them.

    Raises:
        NotFound: no such prediction.
        OtherModel: it is of another model.
    """
    with writing(url) as connection:
        add_feedback(connection, prediction_id, labels, takes)


def add_feedback(
    connection: Connection, prediction_id: str, labels: Mapping[str, Any], takes: Callable[[str], bool] = lambda _: True
) -> None:
    """`insert_feedback` within the caller's transaction.

    Raises:
        NotFound: no such prediction.
        OtherModel: it is of a model that does not take it.
    """
    model = connection.scalar(select(Prediction.model).where(Prediction.id == prediction_id))
    if model is None:
        raise NotFound(f"prediction {prediction_id!r} does not exist", prediction_id)
    if not takes(model):
        raise OtherModel(prediction_id, model)
    connection.execute(
        insert(Feedback), {"prediction_id": prediction_id, "created_at": datetime.now(UTC), "labels": dict(labels)}
    )


def feedback_for(url: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Labels by prediction id, for those that have any; of two values for a label the later one counts."""
    wanted = list(ids)
    labels: dict[str, dict[str, Any]] = {}
    with reading(url) as connection:
        for start in range(0, len(wanted), _IDS_A_QUERY):
            query = (
                select(Feedback.prediction_id, Feedback.labels)
                .where(Feedback.prediction_id.in_(wanted[start : start + _IDS_A_QUERY]))
                .order_by(Feedback.id)
            )
            for row in connection.execute(query):
                labels.setdefault(row.prediction_id, {}).update(row.labels)
    return labels
