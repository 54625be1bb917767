"""Names of workers. A name is held by a lock that ends with its process, so a worker that was killed is known without a clock."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from database.engine import driver_url, engine, translated
from database.errors import DatabaseError

MOST = 999
_LOST_AFTER = "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
"""PostgreSQL frees the name of a worker whose machine is gone after so many seconds of silence."""


class Name:
    """A worker's name, held until `free` or the end of the process. On PostgreSQL it holds a connection."""

    def __init__(self, name: str, lock: FileLock | Connection) -> None:
        self.name = name
        self._lock = lock

    def is_held(self) -> bool:
        """False where the connection that held the name was lost: another worker may have it by now."""
        if isinstance(self._lock, Connection):
            try:
                self._lock.exec_driver_sql("SELECT 1")
            except SQLAlchemyError:
                return False
        return True

    def free(self) -> None:
        """Let others have it; once more changes nothing."""
        if not isinstance(self._lock, Connection):
            self._lock.release()
        elif not self._lock.closed:
            self._lock.invalidate()  # the session ends, and its lock with it; in the pool it would go on
            self._lock.close()


def take(url: str, name: str) -> Name | None:
    """Hold `name`; None where a living process does.

    Raises:
        DatabaseError: unreachable.
    """
    address = driver_url(url)
    digest = hashlib.sha256(name.encode()).digest()[:8]
    if address.get_backend_name() == "sqlite":
        lock = FileLock(f"{address.database}.{digest.hex()}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return Name(name, lock)
    with translated(url):
        connection = engine(url).connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(_LOST_AFTER)
        key = int.from_bytes(digest, signed=True)
        held = Name(name, connection)
        if connection.scalar(sqlalchemy.text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
            return held
        held.free()
        return None


def take_lowest(url: str) -> Name:
    """Hold the first of worker-1, worker-2, … that nobody holds.

    Raises:
        DatabaseError: unreachable, or all are held.
    """
    for number in range(1, MOST + 1):
        if (held := take(url, f"worker-{number}")) is not None:
            return held
    raise DatabaseError(f"all names from worker-1 to worker-{MOST} are held by running workers")


@contextmanager
def taken(url: str, name: str) -> Iterator[bool]:
    """Hold `name` for a moment, where no living process does; tells whether that is so."""
    held = take(url, name)
    try:
        yield held is not None
    finally:
        if held is not None:
            held.free()
