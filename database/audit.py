"""What was done to the service itself, and by whom. Rows are only ever added, in the transaction of what they tell of."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from configs.schema import StrictModel
from database.engine import reading
from database.tables import AuditEntry as AuditTable

ANYONE = "anyone"
"""Who asks where nothing is known of them."""


class AuditEntry(StrictModel):
    """One row: `who` is the name of a key, a login name, or where a request came from that needed no key."""

    created_at: datetime
    who: str
    action: str
    subject: str
    detail: dict[str, Any]


def note(connection: Connection, who: str, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Add a row in the transaction of `connection`: it is there exactly where the deed is."""
    note_all(connection, who, [(action, subject, detail or {})])


def note_all(connection: Connection, who: str, deeds: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
    """The same of several deeds: action, subject and detail of each."""
    now = datetime.now(UTC)
    rows = [
        AuditEntry(created_at=now, who=who, action=action, subject=subject, detail=dict(detail)).model_dump()
        for action, subject, detail in deeds
    ]
    if rows:
        connection.execute(insert(AuditTable), rows)


def entries(url: str, limit: int = 100) -> list[AuditEntry]:
    """The newest rows, newest first."""
    columns = [column for column in AuditTable.__table__.columns if column.name != "id"]
    with reading(url) as connection:
        rows = connection.execute(select(*columns).order_by(AuditTable.id.desc()).limit(limit)).mappings()
        return [AuditEntry(**row) for row in rows]
