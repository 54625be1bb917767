"""Answers that are kept, so that one version does not compute the same content twice; the longest unused go first."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from database.engine import reading, writing
from database.tables import CachedResult

LEFT = 0.9
"""Share of the bound that is still full after something was thrown away: it is not looked at for every answer."""
_DIGESTS_A_QUERY = 500
_COARSE = timedelta(minutes=10)
"""A use is written down where the last one is so long ago: reading does not write."""


def known_results(url: str, model: str, version: int, digests: Sequence[str]) -> dict[str, bytes]:
    """What is kept of these contents, by digest.

    Raises:
        DatabaseError: unreachable.
    """
    found: dict[str, bytes] = {}
    with reading(url) as connection:
        for start in range(0, len(digests), _DIGESTS_A_QUERY):
            mine = (CachedResult.model == model, CachedResult.version == version)
            asked = CachedResult.digest.in_(digests[start : start + _DIGESTS_A_QUERY])
            query = select(CachedResult.digest, CachedResult.value).where(*mine, asked)
            found |= {row.digest: row.value for row in connection.execute(query)}
    return found


def keep_results(
    url: str,
    model: str,
    version: int,
    values: Mapping[str, bytes],
    *,
    max_bytes: int,
    used: Sequence[str] = (),
    now: datetime | None = None,
    bound: bool = True,
) -> None:
    """Keep values by digest, note that others were `used`, and throw away what goes beyond `max_bytes`, in one transaction.

    What is kept already stays. Values of 0 bytes in all are allowed: then only uses are noted. Without `bound` nothing is thrown
    away: that adds up the whole table, while others wait to write.

    Raises:
        DatabaseError: unreachable; then nothing was kept.
    """
    moment = now or datetime.now(UTC)
    rows = [
        {"digest": digest, "model": model, "version": version, "value": value, "size": len(value), "used_at": moment}
        for digest, value in sorted(values.items())  # in another order, two that keep the same would wait for each other
        if len(value) <= max_bytes
    ]
    noted = sorted(used)
    with writing(url) as connection:
        if rows:
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(dialect.insert(CachedResult).on_conflict_do_nothing(), rows)
        for start in range(0, len(noted), _DIGESTS_A_QUERY):
            mine = (CachedResult.model == model, CachedResult.version == version)
            old = (CachedResult.digest.in_(noted[start : start + _DIGESTS_A_QUERY]), CachedResult.used_at < moment - _COARSE)
            connection.execute(update(CachedResult).where(*mine, *old).values(used_at=moment))
        if rows and bound:
            _bound(connection, max_bytes)


def results_bytes(url: str) -> int:
    """Size of all values in bytes."""
    with reading(url) as connection:
        return _bytes(connection)


def _bytes(connection: Connection) -> int:
    return int(connection.scalar(select(func.coalesce(func.sum(CachedResult.size), 0))) or 0)


def _bound(connection: Connection, max_bytes: int) -> None:
    excess = _bytes(connection) - max_bytes
    if excess <= 0:
        return
    gone, wanted = 0, excess + (1 - LEFT) * max_bytes
    oldest = select(CachedResult.used_at, CachedResult.size).order_by(CachedResult.used_at)
    for row in connection.execute(oldest):
        gone += row.size
        if gone >= wanted:
            connection.execute(delete(CachedResult).where(CachedResult.used_at <= row.used_at))
            return
