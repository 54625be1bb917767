"""Tables of the application database. A change here needs a revision in `database/migrations/versions`."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in and out, UTC in the database; SQLite, which knows no zones, keeps it as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone (ValueError)."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value.isoformat()} has no time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Always UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Types and constraint names shared by all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        bytes: LargeBinary(),
    }


class Prediction(Base):
    """One answer that was served."""

    __tablename__ = "predictions"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    model: Mapped[str]
    version: Mapped[int]
    endpoint: Mapped[str]
    latency_ms: Mapped[float]
    inputs: Mapped[dict[str, Any]]
    outputs: Mapped[dict[str, Any]]
    embedding: Mapped[bytes | None]

    __table_args__ = (Index(None, "created_at"), Index(None, "model", "created_at"))


class Feedback(Base):
    """True values that a client sent for a prediction."""

    __tablename__ = "feedback"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    prediction_id: Mapped[str] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    labels: Mapped[dict[str, Any]]


class Promotion(Base):
    """One move of an alias. `sequence` counts a model's moves, so two writers cannot both add the next one."""

    __tablename__ = "promotions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model: Mapped[str]
    sequence: Mapped[int]
    alias: Mapped[str]
    from_version: Mapped[int | None]
    to_version: Mapped[int | None]
    who: Mapped[str]
    why: Mapped[str]
    action: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("model", "alias", "sequence"),)


class MonitorRun(Base):
    """One comparison of a window with the reference, and the retraining it led to."""

    __tablename__ = "monitor_runs"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    model: Mapped[str]
    version: Mapped[int]
    window_key: Mapped[str]
    window_start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    verdict: Mapped[dict[str, Any]]
    report: Mapped[str | None]
    created_at: Mapped[datetime]
    retrain_state: Mapped[str]
    attempts: Mapped[int]
    owner: Mapped[str | None]
    heartbeat: Mapped[datetime | None]
    detail: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("model", "window_key"),
        # At most one retraining a model, whichever window asked for it.
        Index(
            "uq_monitor_runs_one_retrain",
            "model",
            unique=True,
            sqlite_where=text("retrain_state IN ('claimed', 'running')"),
            postgresql_where=text("retrain_state IN ('claimed', 'running')"),
        ),
    )


class Event(Base):
    """Something a user did with an item; no foreign keys, since users and items live in catalogues and predictions expire."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str]
    user_id: Mapped[str]
    item_id: Mapped[str]
    kind: Mapped[str]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime]
    prediction_id: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("event_id"),
        Index(None, "user_id", "occurred_at", "id"),
        Index(None, "occurred_at", "id"),
    )


class FewshotTask(Base):
    """A classifier that a client taught by examples."""

    __tablename__ = "fewshot_tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    learner: Mapped[str | None]
    keep_examples: Mapped[bool]
    created_at: Mapped[datetime]

    __table_args__ = (Index(None, "created_at"),)


class FewshotVersion(Base):
    """What a task was taught up to one request. `request` names that request, so that its repetition teaches nothing."""

    __tablename__ = "fewshot_versions"

    task_id: Mapped[str] = mapped_column(ForeignKey("fewshot_tasks.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    request: Mapped[str]
    created_at: Mapped[datetime]
    classes: Mapped[dict[str, Any]]

    __table_args__ = (UniqueConstraint("request"),)


class FewshotState(Base):
    """A version's classifier as one version of the model adapted it; a later one adapts it again from kept examples."""

    __tablename__ = "fewshot_states"

    task_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    model_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_at: Mapped[datetime]
    learner: Mapped[str]
    base: Mapped[str]
    base_version: Mapped[int]
    digest: Mapped[str]
    measures: Mapped[dict[str, Any]]
    state: Mapped[bytes]

    __table_args__ = (
        ForeignKeyConstraint(
            ["task_id", "version"], ["fewshot_versions.task_id", "fewshot_versions.version"], ondelete="CASCADE"
        ),
    )


class FewshotExample(Base):
    """An example as it was sent, of a task that keeps them; `version` is the one that it came with."""

    __tablename__ = "fewshot_examples"

    task_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str]
    listing: Mapped[dict[str, Any]]
    photo: Mapped[bytes | None]

    __table_args__ = (
        ForeignKeyConstraint(
            ["task_id", "version"], ["fewshot_versions.task_id", "fewshot_versions.version"], ondelete="CASCADE"
        ),
    )
