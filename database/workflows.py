"""DBOS's side of jobs: its tables stand in the application database, so that a job and its workflow are one transaction.

PostgreSQL keeps them in the schema `dbos`. All values are DBOS's portable JSON: rows that say another serializer are refused,
because DBOS would unpickle them.
"""

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import Connection, column, delete, exists, select, table
from sqlalchemy.sql import TableClause

from database.engine import CONNECT_SECONDS, LOST, driver_url, engine, reading, translated, writing
from database.errors import DatabaseError

if TYPE_CHECKING:
    from dbos import DBOSClient
    from dbos._serialization import Serializer

APPLICATION = "vitrina"
VERSION = "1"
"""Of the workflows' steps: those of another number are not replayed, so a change of them is a new one."""
PORTABLE = "portable_json"
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
MOST_RUNS = 20
"""Of a workflow that fails by itself, such as when the disk is full for DBOS's own writes."""
_STATUS = (
    *("workflow_uuid", "status", "executor_id", "owner_xid", "started_at_epoch_ms", "application_version"),
    *("recovery_attempts", "completed_at", "error"),
)
_GIVEN_BACK = {"status": "ENQUEUED"} | dict.fromkeys(
    ("owner_xid", "started_at_epoch_ms", "application_version", "completed_at", "error")
)
_PAYLOADS = ("workflow_input", "workflow_output", "operation_outputs")  # rows that do not go with their workflow's


class Unportable(DatabaseError):
    """A row of DBOS is not portable JSON."""


def ensure(url: str) -> None:
    """Make DBOS's tables, or bring them up to date; processes that do so at once wait for each other.

    Raises:
        DatabaseError: unreachable.
    """
    _ensure(url, os.getpid())


def serializer() -> "Serializer":
    """Portable JSON, the only form in which this program writes and reads what DBOS keeps.

    DBOS unpickles a row that says `py_pickle` whatever serializer it was given: from the first call on, this process does not.
    """
    from dbos._serialization import DBOSPortableJSON, DefaultSerializer

    DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]
    return DBOSPortableJSON


def dbos_url(url: str) -> str:
    """The address as DBOS takes it."""
    address = driver_url(url)
    if address.get_backend_name() == "postgresql":
        lost = {name: str(value) for name, value in LOST.items() if name not in address.query}
        address = address.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)} | lost)
    return address.render_as_string(hide_password=False)


def enqueue(connection: Connection, url: str, workflow: str, queue: str, workflow_id: str) -> None:
    """Ask for `workflow(workflow_id)` in the caller's transaction; one of that id that is known already is left alone."""
    client = _client(url, os.getpid())
    options = {"workflow_name": workflow, "queue_name": queue, "workflow_id": workflow_id}
    client.enqueue_in_transaction(connection, options, workflow_id)  # type: ignore[arg-type]


def known(connection: Connection, workflow_ids: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """State and serializer of those of the workflows that DBOS knows, by id."""
    rows = _table(connection, "workflow_status", "workflow_uuid", "status", "serialization")
    query = select(rows.c.workflow_uuid, rows.c.status, rows.c.serialization)
    found = connection.execute(query.where(rows.c.workflow_uuid.in_(list(workflow_ids))))
    return {row.workflow_uuid: (row.status, row.serialization) for row in found}


def is_ended(state: str) -> bool:
    """Whether DBOS does nothing more for a workflow of this state."""
    return state in _ENDED


def under_way(url: str) -> list[tuple[str, str]]:
    """Id and worker of each workflow that a worker took and has not ended."""
    ensure(url)
    with reading(url) as connection:
        rows = _table(connection, "workflow_status", "workflow_uuid", "status", "executor_id", "application_name")
        query = select(rows.c.workflow_uuid, rows.c.executor_id)
        query = query.where(rows.c.status == "PENDING", rows.c.application_name == APPLICATION)
        return [(row.workflow_uuid, row.executor_id) for row in connection.execute(query)]


def release(url: str, workflow_id: str, worker: str) -> bool:
    """Give a workflow that `worker` left undone back to its queue; False where somebody else did, or went on with it.

    What steps of another version wrote is not replayed: it begins anew, and the items that wait are the next to do.
    """
    with writing(url) as connection:
        rows = _table(connection, "workflow_status", *_STATUS)
        mine = (rows.c.workflow_uuid == workflow_id, rows.c.status == "PENDING", rows.c.executor_id == worker)
        version = connection.scalar(select(rows.c.application_version).where(*mine))
        if connection.execute(sqlalchemy.update(rows).where(*mine).values(_GIVEN_BACK)).rowcount == 0:
            return False
        if version != VERSION:
            _forget_steps(connection, workflow_id)
        return True


def begin_anew(connection: Connection, workflow_id: str) -> bool:
    """Give a workflow that ended back to its queue as if it had never run; False where it ran `MOST_RUNS` times already.

    It failed, or it ended well before its job did: a run whose job another one took while the database was away ends so.
    """
    rows = _table(connection, "workflow_status", *_STATUS)
    ended = rows.c.status.in_(("ERROR", "SUCCESS"))
    mine = (rows.c.workflow_uuid == workflow_id, ended, rows.c.recovery_attempts < MOST_RUNS)
    if connection.execute(sqlalchemy.update(rows).where(*mine).values(_GIVEN_BACK)).rowcount == 0:
        return False
    _forget_steps(connection, workflow_id)
    return True


def _forget_steps(connection: Connection, workflow_id: str) -> None:
    for name in ("operation_outputs", "workflow_output"):
        rows = _table(connection, name, "workflow_uuid")
        connection.execute(delete(rows).where(rows.c.workflow_uuid == workflow_id))


def forget(connection: Connection, before_ms: int) -> None:
    """Delete workflows that ended before, in milliseconds since 1970, with what they wrote."""
    status = _table(connection, "workflow_status", "workflow_uuid", "status", "completed_at", "updated_at", "application_name")
    ended = sqlalchemy.func.coalesce(status.c.completed_at, status.c.updated_at) < before_ms
    old = select(status.c.workflow_uuid).where(status.c.status.in_(_ENDED), ended, status.c.application_name == APPLICATION)
    for name in _PAYLOADS:
        rows = _table(connection, name, "workflow_uuid")
        connection.execute(delete(rows).where(rows.c.workflow_uuid.in_(old)))
    connection.execute(delete(status).where(status.c.workflow_uuid.in_(old)))


def unknown(connection: Connection, identifier: Any) -> Any:
    """The condition that DBOS knows no workflow of this id."""
    rows = _table(connection, "workflow_status", "workflow_uuid")
    return ~exists().where(rows.c.workflow_uuid == identifier)


@functools.lru_cache(maxsize=32)
def _ensure(url: str, pid: int) -> None:
    from dbos import DBOS

    with reading(url):  # the file is made and in its mode, and a server that is away is known at once
        pass
    serializer()
    with translated(url):  # DBOS takes a lock of its own; in a transaction of ours its indices would wait for us for ever
        DBOS.migrate(dbos_url(url))


@functools.lru_cache(maxsize=32)
def _client(url: str, pid: int) -> "DBOSClient":
    from dbos import DBOSClient

    return DBOSClient(
        system_database_engine=engine(url),
        serializer=serializer(),
        application_name=APPLICATION,
        lazy=True,
        retry_connection_errors=False,
    )


def _table(connection: Connection, name: str, *columns: str) -> TableClause:
    schema = "dbos" if connection.dialect.name == "postgresql" else None
    return table(name, *(column(each) for each in columns), schema=schema)


def _refuse(self: Any, serialized_data: str) -> Any:
    raise Unportable(f"a row of DBOS is pickled; only {PORTABLE} is read")
