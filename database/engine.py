"""Engines, transactions and migrations. SQLite (WAL) and PostgreSQL behave the same to the callers."""

import functools
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from filelock import FileLock
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError, StatementError

from database.errors import DatabaseError, Unstorable

BUSY_SECONDS = 10.0
CONNECT_SECONDS = 5
LOST = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
"""A PostgreSQL whose machine is gone without a word is given up after 20 s; TCP by itself tries for a quarter of an hour."""
DIALECTS = ("sqlite", "postgresql")
VERSION_TABLE = "vitrina_schema"  # MLflow and ZenML keep an `alembic_version` of their own, perhaps in the same database
_MIGRATION_LOCK = 0x5649_5452  # any number that nothing else in the database uses
_migrated: set[tuple[str, int]] = set()
_migrating = threading.Lock()


def engine(url: str) -> Engine:
    """The engine of `url`, one a process: a forked child gets its own.

    Raises:
        DatabaseError: the address is not one of SQLite or PostgreSQL, or the SQLite folder cannot be made.
    """
    return _engine(url, os.getpid())


def migrate(url: str) -> None:
    """Bring the schema up to date; processes that do so at once wait for each other.

    Raises:
        DatabaseError: unreachable, or its schema is newer than this program.
    """
    with _migrating, translated(url), engine(url).connect() as connection, _writing(connection):
        if connection.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        config = migrations()
        config.attributes["connection"] = connection
        logging.getLogger("alembic").setLevel(logging.WARNING)
        command.upgrade(config, "head")


def migrations() -> Config:
    """Where Alembic finds the migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def probe(url: str) -> None:
    """Open a connection and ask nothing of the schema; an SQLite file is made where it is missing.

    Raises:
        DatabaseError: it cannot be opened.
    """
    with translated(url), engine(url).connect() as connection:
        connection.exec_driver_sql("SELECT 1")


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A connection in one snapshot; the schema is brought up to date on a process's first use."""
    _ensure_schema(url)
    with translated(url), engine(url).connect() as connection:
        if connection.dialect.name == "postgresql":  # where each statement would see what others have committed before it
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    """A connection in one transaction, committed on leaving; on SQLite it holds the write lock from its start."""
    _ensure_schema(url)
    with translated(url), engine(url).connect() as connection, _writing(connection):
        yield connection


@contextmanager
def exclusive(url: str, key: int) -> Iterator[None]:
    """Let one process at a time in, of all that give this database and `key`, without holding a lock that writers need."""
    address, made = driver_url(url), engine(url)  # the folder of an SQLite file among what is made
    if address.get_backend_name() == "sqlite":
        with FileLock(f"{address.database}.{key:x}.lock"):
            yield
        return
    with translated(url), made.connect() as connection, connection.begin():
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


@contextmanager
def _writing(connection: Connection) -> Iterator[None]:
    connection.execution_options(vitrina_writes=True)
    with connection.begin():
        yield


def _ensure_schema(url: str) -> None:
    key = (url, os.getpid())
    if key not in _migrated:
        migrate(url)
        _migrated.add(key)


@functools.lru_cache(maxsize=32)
def _engine(url: str, pid: int) -> Engine:
    address = driver_url(url)
    options: dict[str, Any] = {"json_serializer": _to_json}
    if address.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(
            address,
            pool_pre_ping=True,
            connect_args=connecting(address, "-c timezone=UTC"),
            **options,
        )
    alone: AbstractContextManager[Any] = nullcontext()
    if address.database and address.database != ":memory:":
        folder = Path(address.database).expanduser().parent
        alone = FileLock(f"{address.database}.lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseError(f"cannot create the folder of the database, {folder}: {error.strerror}") from error
    made = sqlalchemy.create_engine(address, connect_args={"timeout": BUSY_SECONDS}, **options)
    event.listen(made, "connect", functools.partial(_prepare_sqlite, alone))
    event.listen(made, "begin", _begin_sqlite)
    return made


def connecting(address: URL, options: str) -> dict[str, Any]:
    """How psycopg connects; what the address says itself of lost connections goes before `LOST`."""
    lost = {name: value for name, value in LOST.items() if name not in address.query}
    return {"connect_timeout": CONNECT_SECONDS, "options": options} | lost


def driver_url(url: str) -> URL:
    """The address as SQLAlchemy needs it: with the driver that we install.

    Raises:
        DatabaseError: not one of SQLite or PostgreSQL.
    """
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise DatabaseError("the database address is not of the form sqlite:///PATH or postgresql://USER@HOST/NAME") from error
    backend = address.get_backend_name()
    if backend not in DIALECTS:
        raise DatabaseError(f"database kind {backend!r} is not supported; allowed: {', '.join(DIALECTS)}")
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    return address


def _prepare_sqlite(alone: AbstractContextManager[Any], connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not open transactions of its own: `_begin_sqlite` does
    cursor = connection.cursor()
    with alone:  # SQLite does not wait, as it does elsewhere, for another process that changes the journal of a new file
        cursor.execute("PRAGMA journal_mode=WAL")
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "recursive_triggers=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once with "database is locked" when somebody
    # wrote in between; taking the lock at the start waits instead.
    writes = connection.get_execution_options().get("vitrina_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _to_json(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise Unstorable(f"a value cannot be stored as JSON: {error}") from error


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Errors of the driver as one line that names the database without its password."""
    try:
        yield
    except StatementError as error:  # of the driver, or of a value before it reached the driver
        kind = Unstorable if isinstance(error.orig, Unstorable) else DatabaseError
        raise kind(f"database {shown(url)}: {_first_line(error.orig)}") from error
    except CommandError as error:
        raise DatabaseError(f"database {shown(url)}: its schema is not one of this program ({_first_line(error)})") from error
    except (SQLAlchemyError, NoSuchModuleError) as error:
        raise DatabaseError(f"database {shown(url)}: {_first_line(error)}") from error


def shown(url: str) -> str:
    """The address without its password."""
    address = driver_url(url)
    return address.database or ":memory:" if address.get_backend_name() == "sqlite" else str(address.set(query={}))


def _first_line(error: BaseException | None) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
