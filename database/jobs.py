"""Work that clients leave with the service: asked for here by name, done by a worker (`jobs/`), kept here item by item.

DBOS decides who does a job and goes on with it after a kill; what was sent and what came of it are rows of the application
database. A workflow's only argument is the id of its job. Rows of DBOS that say another serializer than its portable JSON are
refused: reading them would unpickle them.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import sqlalchemy
from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select, update

from database import workflows
from database.audit import ANYONE, note
from database.engine import reading, writing
from database.errors import NotFound, QueueFull, RequestReused
from database.predictions import PredictionRow, add_predictions
from database.tables import Job as JobTable
from database.tables import JobItem as ItemTable

JobState = Literal["queued", "running", "succeeded", "partly_failed", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("succeeded", "partly_failed", "failed", "cancelled")
ItemState = Literal["waiting", "done", "failed"]
QUEUE = "work"
WORKFLOW = "do_job"
"""Names by which the service asks for a job and a worker knows it."""
OPEN = "anyone"
"""Owner of what is left with a service that asks for no keys."""
_SUBMIT_LOCK = 0x4A4F_4254
_LIVE: tuple[JobState, ...] = ("queued", "running")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One part of a job.

    Attributes:
        place: In the request, from 0.
        sent: JSON of what the client sent.
        attempts: How often it was tried.
        result: JSON of the answer, in the form that the route answers at once; None until it is done.
        error: `{"code", "message", "field"}` of what it failed with; None unless it did.
    """

    place: int
    sent: Any
    state: ItemState = "waiting"
    attempts: int = 0
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is known of a job.

    Attributes:
        kind: Route that would have answered at once, such as embeddings/batch.
        owner: Id of the key that left it, or `OPEN`.
        items: How many it has; `done` and `failed` of them have ended.
        detail: Why the job as a whole failed; one line.
        model: That answers its items, with `version`; None until it began.
        created_at: Not after `started_at`, and that not after `finished_at`, even where the clock was moved back in between.
    """

    id: str
    kind: str
    owner: str
    items: int
    done: int
    failed: int
    state: JobState
    detail: str | None
    model: str | None
    version: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def submit(
    url: str, kind: str, items: Sequence[Item], *, owner: str = OPEN, request: str | None = None, max_waiting: int = 100
) -> tuple[Job, bool]:
    """Leave a job; the same `request` of the same owner again is the same job, and the second value is False.

    Items that are known to be wrong come as failed. The job, its items and what DBOS is told are one transaction: a job whose id
    a client has seen is never lost and never done twice.

    Raises:
        RequestReused: the owner sent something else by this name before.
        QueueFull: `max_waiting` jobs wait or run.
        DatabaseError: unreachable; then nothing was left.
    """
    workflows.ensure(url)
    digest = _digest(kind, items)
    with writing(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SUBMIT_LOCK})
        if request is not None and (known := _of_request(connection, owner, request)) is not None:
            if known.digest != digest:
                raise RequestReused(f"request {request!r} asked for something else before; use another name for it")
            return _find(connection, known.id, None), False
        waits = any(item.state == "waiting" for item in items)
        if waits and _count_live(connection) >= max_waiting:
            raise QueueFull(f"{max_waiting} jobs wait or run already; at most {max_waiting} may")
        job_id, now = str(uuid.uuid4()), datetime.now(UTC)
        number = (connection.scalar(select(func.max(JobTable.number))) or 0) + 1
        values = {"id": job_id, "number": number, "kind": kind, "owner": owner, "request": request, "digest": digest}
        connection.execute(insert(JobTable), values | {"items": len(items), "state": "queued", "created_at": now})
        if items:
            connection.execute(insert(ItemTable), [{"job_id": job_id, **vars(item)} for item in items])
        if waits:
            workflows.enqueue(connection, url, WORKFLOW, QUEUE, job_id)
        else:
            _finish(connection, job_id, None)
        return _find(connection, job_id, None), True


def find(url: str, job_id: str, owner: str | None = None) -> Job:
    """A job by its id, of `owner` where given.

    Raises:
        NotFound: there is none, or it belongs to another owner.
    """
    with reading(url) as connection:
        return _find(connection, job_id, owner)


def newest(url: str, owner: str | None = None, limit: int = 100) -> list[Job]:
    """Jobs in the order in which they were left, the last one first; of `owner` where given."""
    query = select(JobTable.id)
    if owner is not None:
        query = query.where(JobTable.owner == owner)
    ids = query.order_by(JobTable.number.desc()).limit(limit)
    with reading(url) as connection:
        rows = connection.execute(_counted().where(JobTable.id.in_(ids)).order_by(JobTable.number.desc())).all()
    return [_job(row) for row in rows]


def cancel(url: str, job_id: str, owner: str | None = None, who: str = ANYONE) -> Job:
    """End a job: items that are computed now end or are thrown away, those that wait are not begun. One that has ended stays.

    Its workflow is not told: whoever takes it finds that nothing is left to do.

    Raises:
        NotFound: there is none, or it belongs to another owner.
    """
    with writing(url) as connection:
        job = _find(connection, job_id, owner, lock=True)
        if job.state not in ENDED:
            _end(connection, job, "cancelled", None)
            note(connection, who, "job cancelled", job_id, {"kind": job.kind, "owner": job.owner})
        return _find(connection, job_id, owner)


def items(url: str, job_id: str, *, states: Sequence[ItemState] = (), start: int = 0, limit: int | None = None) -> list[Item]:
    """Items in the order of their places, of these states where any are named, from place `start` on."""
    query = select(*_ITEM).where(ItemTable.job_id == job_id, ItemTable.place >= start)
    if states:
        query = query.where(ItemTable.state.in_(states))
    with reading(url) as connection:
        return [Item(**row) for row in connection.execute(query.order_by(ItemTable.place).limit(limit)).mappings()]


def states(url: str) -> dict[JobState, int]:
    """How many jobs are in each state."""
    with reading(url) as connection:
        rows = connection.execute(select(JobTable.state, func.count()).group_by(JobTable.state)).all()
    return dict.fromkeys((*_LIVE, *ENDED), 0) | {cast(JobState, state): count for state, count in rows}


def begin(url: str, job_id: str, model: str, version: int, taker: str | None = None) -> Job:
    """A worker takes the job; one that was begun before keeps its version, and one that has ended stays as it is.

    `taker` names this run of the workflow: from now on a run before it may write nothing more (`take`, `attempt`, `keep`).

    Raises:
        NotFound: it was forgotten.
    """
    with writing(url) as connection:
        job = _find(connection, job_id, None, lock=True)
        if job.state not in ENDED:
            values: dict[str, Any] = {"state": "running", "taker": taker}
            if job.started_at is None:
                values |= {"model": model, "version": version, "started_at": max(job.created_at, datetime.now(UTC))}
            connection.execute(update(JobTable).where(JobTable.id == job_id).values(values))
        return _find(connection, job_id, None)


def take(url: str, job_id: str, limit: int, taker: str | None = None) -> list[Item]:
    """The items to try next, with how often they were tried before; the try is counted now, so that one that kills is known.

    At most `limit` that were never tried, in the order of their places; then the others one by one. Empty where none waits, or
    the job was cancelled or taken by another run.
    """
    waiting = select(*_ITEM).where(ItemTable.job_id == job_id, ItemTable.state == "waiting")
    with writing(url) as connection:
        if not _is_held(connection, job_id, taker):
            return []
        rows = connection.execute(waiting.order_by(ItemTable.attempts > 0, ItemTable.place).limit(limit)).mappings()
        items = [Item(**row) for row in rows]
        taken = [item for item in items if item.attempts == 0] or items[:1]
        if taken:
            _count_try(connection, job_id, [item.place for item in taken])
        return taken


def attempt(url: str, job_id: str, places: Sequence[int], taker: str | None = None) -> bool:
    """Count a further try of items that were taken; False where the job was cancelled or taken by another run."""
    with writing(url) as connection:
        if not _is_held(connection, job_id, taker):
            return False
        _count_try(connection, job_id, places)
        return True


def keep(
    url: str, job_id: str, outcomes: Sequence[Item], *, predictions: Sequence[PredictionRow] = (), taker: str | None = None
) -> bool:
    """Write what came of some items, and what monitoring is told of them, in one transaction.

    False where the job was cancelled or taken by another run meanwhile; then nothing was written. What is kept already stays.
    """
    with writing(url) as connection:
        if not _is_held(connection, job_id, taker):
            return False
        if outcomes:
            changes = [{"of_place": item.place} | {name: getattr(item, name) for name in _OUTCOME} for item in outcomes]
            ended = update(ItemTable).where(
                ItemTable.job_id == job_id, ItemTable.place == bindparam("of_place"), ItemTable.state == "waiting"
            )
            connection.execute(ended.values({name: bindparam(name) for name in _OUTCOME}), changes)
        add_predictions(connection, predictions)
        return True


def finish(url: str, job_id: str, detail: str | None = None) -> Job:
    """The last word on a job, by its items: succeeded, partly_failed or failed; failed with `detail`.

    One that has ended stays, and without `detail` one of which items wait.
    """
    with writing(url) as connection:
        return _finish(connection, job_id, detail)


def untold(url: str) -> list[str]:
    """Jobs that wait and that DBOS does not know, as after a restored back-up of part of the tables. Tells DBOS now."""
    workflows.ensure(url)
    with writing(url) as connection:
        query = select(JobTable.id).where(JobTable.state.in_(_LIVE), workflows.unknown(connection, JobTable.id))
        found = list(connection.scalars(query.order_by(JobTable.number)))
        for job_id in found:
            workflows.enqueue(connection, url, WORKFLOW, QUEUE, job_id)
    return found


def given_up(url: str) -> list[Job]:
    """End the jobs whose workflow DBOS has ended before they were: its row could not be read, or somebody ended it there.

    One that failed by itself, such as when DBOS's own writes met a full disk, begins anew instead: what is kept stays.
    """
    workflows.ensure(url)
    with writing(url) as connection:
        live = list(connection.scalars(select(JobTable.id).where(JobTable.state.in_(_LIVE))))
        return [
            _finish(connection, job_id, _why_given_up(state, serializer))
            for job_id, (state, serializer) in workflows.known(connection, live).items()
            if workflows.is_ended(state) and not (_is_portable(serializer) and workflows.begin_anew(connection, job_id))
        ]


def forget(url: str, before: datetime) -> int:
    """Delete jobs that ended before, and the workflows of DBOS that did; returns how many jobs."""
    workflows.ensure(url)
    with writing(url) as connection:
        workflows.forget(connection, int(before.timestamp() * 1000))
        old = delete(JobTable).where(JobTable.state.in_(ENDED), JobTable.finished_at < before)
        return connection.execute(old).rowcount


_ITEM = [ItemTable.place, ItemTable.sent, ItemTable.state, ItemTable.attempts, ItemTable.result, ItemTable.error]
_OUTCOME = ("state", "result", "error")


def _counted() -> Select[Any]:
    """Jobs with the counts of their items that have ended."""
    done = func.count().filter(ItemTable.state == "done").label("done")
    failed = func.count().filter(ItemTable.state == "failed").label("failed")
    columns = [JobTable.__table__.c[name] for name in Job.__dataclass_fields__ if name not in ("done", "failed")]
    joined = select(*columns, done, failed).select_from(JobTable).outerjoin(ItemTable, ItemTable.job_id == JobTable.id)
    return joined.group_by(JobTable.id)


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)


def _find(connection: Connection, job_id: str, owner: str | None, *, lock: bool = False) -> Job:
    if lock:
        connection.execute(select(JobTable.id).where(JobTable.id == job_id).with_for_update())
    query = _counted().where(JobTable.id == job_id)
    if owner is not None:
        query = query.where(JobTable.owner == owner)
    if (row := connection.execute(query).one_or_none()) is None:
        raise NotFound(f"job {job_id!r} does not exist", job_id)
    return _job(row)


def _finish(connection: Connection, job_id: str, detail: str | None) -> Job:
    job = _find(connection, job_id, None, lock=True)
    if job.state not in ENDED and (detail is not None or job.done + job.failed == job.items):
        state: JobState = "succeeded" if job.failed == 0 else "partly_failed" if job.done else "failed"
        _end(connection, job, state if detail is None else "failed", detail)
    return _find(connection, job_id, None)


def _end(connection: Connection, job: Job, state: JobState, detail: str | None) -> None:
    finished = max(job.started_at or job.created_at, datetime.now(UTC))
    values = {"state": state, "detail": detail, "finished_at": finished, "taker": None}
    connection.execute(update(JobTable).where(JobTable.id == job.id).values(values))


def _count_try(connection: Connection, job_id: str, places: Sequence[int]) -> None:
    tried = update(ItemTable).where(ItemTable.job_id == job_id, ItemTable.place.in_(places))
    connection.execute(tried.values(attempts=ItemTable.attempts + 1))


def _is_held(connection: Connection, job_id: str, taker: str | None) -> bool:
    query = select(JobTable.state, JobTable.taker).where(JobTable.id == job_id).with_for_update()
    row = connection.execute(query).one_or_none()
    return row is not None and row.state == "running" and row.taker == taker


def _of_request(connection: Connection, owner: str, request: str) -> Row[Any] | None:
    query = select(JobTable.id, JobTable.digest).where(JobTable.owner == owner, JobTable.request == request)
    return connection.execute(query).one_or_none()


def _count_live(connection: Connection) -> int:
    return connection.scalar(select(func.count()).where(JobTable.state.in_(_LIVE))) or 0


def _digest(kind: str, items: Sequence[Item]) -> str:
    content = [kind, [item.sent for item in items]]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _is_portable(serializer: str | None) -> bool:
    return serializer in (workflows.PORTABLE, None)


def _why_given_up(state: str, serializer: str | None) -> str:
    if not _is_portable(serializer):
        return f"refused: its row of DBOS says serializer {serializer!r}, only {workflows.PORTABLE} is read"
    return f"its workflow ended as {state} before it did; see the worker's log"
