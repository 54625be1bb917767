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

    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "model", "created_at"),
        Index(None, "model", "version", "created_at"),
    )


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


class Job(Base):
    """Work that a client left with the service; `request` is the client's own name of it, by which its repetition is known.

    `number` counts jobs in the order in which they were left, whatever the clock says; `taker` names the run of its workflow that
    may write.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    kind: Mapped[str]
    owner: Mapped[str]
    request: Mapped[str | None]
    digest: Mapped[str]
    items: Mapped[int]
    state: Mapped[str]
    detail: Mapped[str | None]
    model: Mapped[str | None]
    version: Mapped[int | None]
    taker: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("number"),
        UniqueConstraint("owner", "request"),
        Index(None, "owner", "number"),
        Index(None, "state", "finished_at"),
    )


class JobItem(Base):
    """One part of a job, computed by itself: what was sent, and what came of it."""

    __tablename__ = "job_items"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sent: Mapped[Any] = mapped_column(JSON)
    state: Mapped[str]
    attempts: Mapped[int]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    __table_args__ = (Index(None, "job_id", "state"),)


class CatalogProduct(Base):
    """A product as a client last put it, over what the version that answers was trained on.

    `revision` counts all changes, so that a process reads what is new to it; a deleted product stays as a mark.
    """

    __tablename__ = "catalog_products"

    id: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int]
    state: Mapped[str]
    listing: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    photo: Mapped[bytes | None]
    updated_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("revision"),)


class CatalogVector(Base):
    """Where a version of a model puts a product as it was at one revision; float32, little-endian.

    `bundle` is the digest of the version's files: in a registry begun anew another bundle has its number.
    """

    __tablename__ = "catalog_vectors"

    product_id: Mapped[str] = mapped_column(ForeignKey("catalog_products.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]
    vector: Mapped[bytes]
    bundle: Mapped[str]


class ApiKey(Base):
    """Who may ask for what; of the key itself only a digest is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(JSON)
    requests_a_minute: Mapped[int | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("digest"), UniqueConstraint("name"))


class AuditEntry(Base):
    """Something that was done to the service itself, and by whom."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    created_at: Mapped[datetime]
    who: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]

    __table_args__ = (Index(None, "created_at"),)


class CachedResult(Base):
    """What a version answered for one content; the oldest uses go first when the table is full."""

    __tablename__ = "cached_results"

    digest: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[bytes]
    size: Mapped[int]
    used_at: Mapped[datetime]

    __table_args__ = (Index(None, "used_at"),)
