"""The promotion ledger: who moved an alias, when, from where to where, and why. Rows are only ever added."""

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from configs.schema import StrictModel
from database.engine import reading, writing
from database.errors import LedgerMoved
from database.tables import Promotion as PromotionTable

Action = Literal["promote", "rollback", "moved_in_ui"]


class Promotion(StrictModel):
    """One row of the ledger; None as a version means that the alias pointed nowhere. `sequence` starts at 1."""

    model: str
    sequence: int
    alias: str
    from_version: int | None
    to_version: int | None
    who: str
    why: str
    action: Action
    created_at: datetime


def promotions(url: str, model: str, alias: str = "champion") -> list[Promotion]:
    """All moves of a model's alias, oldest first."""
    table = PromotionTable.__table__
    columns = [column for column in table.columns if column.name != "id"]
    query = select(*columns).where(PromotionTable.model == model, PromotionTable.alias == alias)
    with reading(url) as connection:
        rows = connection.execute(query.order_by(PromotionTable.sequence)).mappings()
        return [Promotion(**row) for row in rows]


def newest_promotions(url: str, model: str, limit: int, alias: str = "champion") -> list[Promotion]:
    """The last moves of a model's alias, newest first."""
    table = PromotionTable.__table__
    columns = [column for column in table.columns if column.name != "id"]
    query = select(*columns).where(PromotionTable.model == model, PromotionTable.alias == alias)
    with reading(url) as connection:
        rows = connection.execute(query.order_by(PromotionTable.sequence.desc()).limit(limit)).mappings()
        return [Promotion(**row) for row in rows]


def last_promotion(url: str, model: str, alias: str = "champion") -> Promotion | None:
    """The newest row of a model's alias, or None."""
    table = PromotionTable.__table__
    columns = [column for column in table.columns if column.name != "id"]
    query = select(*columns).where(PromotionTable.model == model, PromotionTable.alias == alias)
    with reading(url) as connection:
        row = connection.execute(query.order_by(PromotionTable.sequence.desc()).limit(1)).mappings().first()
        return None if row is None else Promotion(**row)


def append_promotion(
    url: str,
    model: str,
    *,
    from_version: int | None,
    to_version: int | None,
    who: str,
    why: str,
    action: Action,
    after: int,
    alias: str = "champion",
) -> Promotion:
    """Add the row that follows row `after` (0: the first); of several writers that try, one succeeds.

    Raises:
        LedgerMoved: row `after` is not the newest one any more.
    """
    row = Promotion(
        model=model,
        sequence=after + 1,
        alias=alias,
        from_version=from_version,
        to_version=to_version,
        who=who,
        why=why,
        action=action,
        created_at=datetime.now(UTC),
    )
    with writing(url) as connection:
        query = select(PromotionTable.sequence).where(PromotionTable.model == model, PromotionTable.alias == alias)
        newest = connection.scalar(query.order_by(PromotionTable.sequence.desc()).limit(1)) or 0
        if newest != after:
            raise LedgerMoved(f"ledger of {model}: expected row {after} to be the newest, found {newest}")
        try:
            connection.execute(insert(PromotionTable), row.model_dump())
        except IntegrityError as error:
            raise LedgerMoved(f"ledger of {model}: somebody else added row {after + 1}") from error
    return row
