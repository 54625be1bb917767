"""Where Optuna keeps its studies: in the application database, so that many workers share one.

On SQLite its tables lie beside ours. On PostgreSQL they have a schema of their own, since Optuna, MLflow and ZenML each
call their version table `alembic_version`, and may share a database.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

from database.engine import connecting, driver_url, exclusive, migrate, shown, translated, writing
from database.errors import DatabaseError

SCHEMA = "optuna"
BUSY_SECONDS = 60.0  # better to wait than to lose a trial of many minutes
_LOCK = 0x5649_5453  # any number that nothing else in the database uses


@contextmanager
def study_storage(url: str, heartbeat_seconds: int, retries: int) -> Iterator[RDBStorage]:
    """The storage of all studies, its tables made where they are missing.

    A trial whose worker was silent for twice `heartbeat_seconds` is failed and queued again, at most `retries` times.

    Raises:
        DatabaseError: unreachable, or written by another version of Optuna.
    """
    migrate(url)
    with study_lock(url):
        storage = _open(url, heartbeat_seconds, retries)
    try:
        with translated(url):
            yield storage
    except StorageInternalError as error:
        raise DatabaseError(f"database {shown(url)}: a study cannot be written ({error.__cause__ or error})") from error
    finally:
        storage.remove_session()
        storage.engine.dispose()


def study_lock(url: str) -> AbstractContextManager[None]:
    """One worker at a time sets up a study."""
    return exclusive(url, _LOCK)


def _open(url: str, heartbeat_seconds: int, retries: int) -> RDBStorage:
    address, options = driver_url(url), _options(url)
    with warnings.catch_warnings(), translated(url):
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return RDBStorage(
                address.render_as_string(hide_password=False),
                options,
                heartbeat_interval=heartbeat_seconds,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(max_retry=retries),
            )
        except RuntimeError as error:  # of Optuna's check of its tables
            raise DatabaseError(f"database {shown(url)}: {error}") from error


def _options(url: str) -> dict[str, Any]:
    if driver_url(url).get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_SECONDS}}
    with writing(url) as connection:
        connection.execute(sqlalchemy.schema.CreateSchema(SCHEMA, if_not_exists=True))
    search = f"-c timezone=UTC -c search_path={SCHEMA}"
    return {"pool_pre_ping": True, "connect_args": connecting(driver_url(url), search)}
