"""Monitoring runs, and the claim that lets a window start at most one retraining."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from database.engine import reading, writing
from database.errors import DatabaseError, NotFound
from database.tables import MonitorRun as MonitorRunTable

RetrainState = Literal["none", "claimed", "running", "done", "failed"]
UNDER_WAY = ("claimed", "running")
STALE = timedelta(minutes=10)
MAX_ATTEMPTS = 3
HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class MonitorRun:
    """One comparison of a window of predictions with the reference, and the retraining it led to."""

    model: str
    version: int
    window_key: str
    window_start: datetime | None
    window_end: datetime | None
    verdict: Mapping[str, Any]
    report: str | None
    created_at: datetime
    retrain_state: RetrainState
    attempts: int
    owner: str | None
    heartbeat: datetime | None
    detail: str | None


def record_run(
    url: str,
    model: str,
    version: int,
    window_key: str,
    *,
    verdict: Mapping[str, Any],
    window_start: datetime | None = None,
    window_end: datetime | None = None,
    report: Path | None = None,
) -> None:
    """Keep a verdict; the same window again replaces verdict and report and leaves its retraining alone."""
    values = {
        "version": version,
        "window_start": window_start,
        "window_end": window_end,
        "verdict": dict(verdict),
        "report": None if report is None else str(report),
    }
    with writing(url) as connection:
        _upsert(connection, model, window_key, values)


def monitor_runs(url: str, model: str, limit: int = 100) -> list[MonitorRun]:
    """The newest runs of `model`, newest first."""
    query = select(*_COLUMNS).where(MonitorRunTable.model == model)
    with reading(url) as connection:
        rows = connection.execute(query.order_by(MonitorRunTable.id.desc()).limit(limit)).mappings()
        return [MonitorRun(**row) for row in rows]


def claim_window(url: str, model: str, version: int, window_key: str, *, stale: timedelta = STALE) -> bool:
    """Whether the caller, and nobody else, may start the retraining for this window.

    False while any retraining of `model` is under way, for a window whose retraining is done, and for one that failed
    `MAX_ATTEMPTS` times. A retraining whose process died (same machine), or whose heartbeat is older than `stale`,
    counts as failed.
    """
    now = datetime.now(UTC)
    with writing(url) as connection:
        _fail_abandoned(connection, model, now - stale)
        _upsert(connection, model, window_key, {"version": version})
        claim = (
            update(MonitorRunTable)
            .where(MonitorRunTable.model == model, MonitorRunTable.window_key == window_key)
            .where(MonitorRunTable.retrain_state.in_(("none", "failed")), MonitorRunTable.attempts < MAX_ATTEMPTS)
            .values(retrain_state="claimed", attempts=MonitorRunTable.attempts + 1, owner=_owner(), heartbeat=now, detail=None)
        )
        try:
            with connection.begin_nested():
                return connection.execute(claim).rowcount == 1
        except IntegrityError:  # another window's retraining is under way
            return False


def beat(url: str, model: str, window_key: str) -> None:
    """Say that the retraining of a claimed window is alive, and runs in this process.

    Raises:
        NotFound: the window is not claimed, or not any more.
    """
    values = {"retrain_state": "running", "owner": _owner(), "heartbeat": datetime.now(UTC)}
    _update_under_way(url, model, window_key, values)


def finish_window(url: str, model: str, window_key: str, *, failed: str | None = None) -> None:
    """Close a claimed window: done, or failed with a reason.

    Raises:
        NotFound: the window is not claimed, or not any more.
    """
    values = {"retrain_state": "failed" if failed else "done", "heartbeat": datetime.now(UTC), "detail": failed}
    _update_under_way(url, model, window_key, values)


@contextmanager
def retraining(url: str, model: str, window_key: str, every: float = HEARTBEAT_SECONDS) -> Iterator[None]:
    """Run a claimed window's retraining inside: beats every `every` seconds, then done, or failed if it raised."""
    beat(url, model, window_key)
    over = threading.Event()

    def keep_beating() -> None:
        while not over.wait(every):
            try:
                beat(url, model, window_key)
            except NotFound:
                return
            except DatabaseError:
                continue  # away for a moment: `STALE` leaves room for many beats

    thread = threading.Thread(target=keep_beating, name="retrain-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    except BaseException as error:
        over.set()
        thread.join()
        finish_window(url, model, window_key, failed=f"{type(error).__name__}: {error}"[:500])
        raise
    over.set()
    thread.join()
    finish_window(url, model, window_key)


_COLUMNS = [column for column in MonitorRunTable.__table__.columns if column.name != "id"]


def _upsert(connection: Connection, model: str, window_key: str, values: Mapping[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = {"model": model, "window_key": window_key, "verdict": {}, "created_at": datetime.now(UTC)}
    new |= {"retrain_state": "none", "attempts": 0, **values}
    statement = dialect.insert(MonitorRunTable).values(new)
    connection.execute(statement.on_conflict_do_update(index_elements=["model", "window_key"], set_=dict(values)))


def _update_under_way(url: str, model: str, window_key: str, values: Mapping[str, Any]) -> None:
    statement = (
        update(MonitorRunTable)
        .where(MonitorRunTable.model == model, MonitorRunTable.window_key == window_key)
        .where(MonitorRunTable.retrain_state.in_(UNDER_WAY))
        .values(values)
    )
    with writing(url) as connection:
        if connection.execute(statement).rowcount != 1:
            raise NotFound(f"no retraining of {model} is under way for window {window_key!r}")


def _fail_abandoned(connection: Connection, model: str, oldest: datetime) -> None:
    query = (
        select(MonitorRunTable.id, MonitorRunTable.owner, MonitorRunTable.heartbeat)
        .where(MonitorRunTable.model == model, MonitorRunTable.retrain_state.in_(UNDER_WAY))
        .with_for_update()
    )
    for row in connection.execute(query).all():
        if row.heartbeat < oldest or _is_dead(row.owner):
            values = {"retrain_state": "failed", "detail": f"abandoned by {row.owner}"}
            connection.execute(update(MonitorRunTable).where(MonitorRunTable.id == row.id).values(values))


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(owner: str) -> bool:
    """True only where the owner ran on this machine and its process is gone."""
    host, _, pid = owner.rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
