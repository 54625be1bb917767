"""The one place that opens MLflow. Importing it is light; MLflow itself comes with the first connection."""

import functools
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from filelock import FileLock

from configs.settings import Settings
from database.engine import DIALECTS, probe, translated
from database.errors import DatabaseError
from registry.errors import RegistryError, RegistryUnreachable

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_SECONDS = 3.0
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to the one JSON object of --json
    "GIT_PYTHON_REFRESH": "quiet",
}
_SAFETY = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


@contextmanager
def connected(settings: Settings) -> Iterator["MlflowClient"]:
    """A client of the tracking server and registry; MLflow's own errors leave as one line.

    Raises:
        RegistryUnreachable: the server does not answer within a few seconds, or the store cannot be opened.
        RegistryError: MLflow refused what was asked inside.
    """
    if is_server(settings):
        _probe(settings.tracking_uri)
    _prepare()
    from mlflow.exceptions import MlflowException

    try:
        yield _client(settings.tracking_uri, os.getpid())
    except MlflowException as error:
        line = " ".join(str(error).split())
        if "failed with exception" in line:
            raise RegistryUnreachable(f"MLflow server {shown(settings.tracking_uri)} stopped answering: {line[:300]}") from error
        raise RegistryError(f"MLflow at {shown(settings.tracking_uri)}: {line[:500]}") from error
    except OSError as error:  # a full disk, a folder that may not be written, a broken connection
        raise RegistryError(f"MLflow at {shown(settings.tracking_uri)}: {error.strerror or error}") from error


def is_server(settings: Settings) -> bool:
    """Whether MLflow is a server reached over HTTP, which then decides where artifacts lie."""
    return is_http(settings.tracking_uri)


def is_http(tracking_uri: str) -> bool:
    """Whether an address is that of a server, not of a store."""
    return urlsplit(tracking_uri).scheme in ("http", "https")


def is_missing(error: Any) -> bool:
    """Whether an MlflowException says that what was asked for does not exist (a missing alias is INVALID_PARAMETER_VALUE)."""
    if error.error_code == "RESOURCE_DOES_NOT_EXIST":
        return True
    return bool(error.error_code == "INVALID_PARAMETER_VALUE" and "not found" in str(error))


def shown(uri: str) -> str:
    """An address without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


@functools.cache
def _prepare() -> None:
    """Before MLflow's first import in this process."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ.update(_SAFETY)
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


@functools.lru_cache(maxsize=8)
def _client(tracking_uri: str, pid: int) -> "MlflowClient":
    from mlflow import MlflowClient

    if is_http(tracking_uri):
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    try:
        if urlsplit(tracking_uri).scheme.partition("+")[0] in DIALECTS:
            probe(tracking_uri)  # MLflow itself would try for minutes
        with _alone(tracking_uri), translated(tracking_uri):
            client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            client.search_registered_models(max_results=1)  # makes MLflow create the tables of a new store
    except DatabaseError as error:
        raise RegistryUnreachable(f"MLflow's store cannot be opened: {error}") from error
    return client


def _alone(tracking_uri: str) -> AbstractContextManager[object]:
    """Two processes that create the tables of one new SQLite file collide in MLflow's migrations: one at a time."""
    path = urlsplit(tracking_uri).path.removeprefix("/")
    return FileLock(f"{path}.lock") if tracking_uri.startswith("sqlite") and path else nullcontext()


def _probe(tracking_uri: str) -> None:
    """Ask for /health with a short limit: MLflow itself would retry for minutes."""
    parts = urlsplit(tracking_uri)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + "/health", "", ""))
    try:
        with urllib.request.urlopen(address, timeout=PROBE_SECONDS):  # noqa: S310 - http or https only, see is_server
            return
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is for MLflow's client to find out
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        advice = "start it with `vitrina up` or mend MLFLOW_TRACKING_URI"
        raise RegistryUnreachable(f"MLflow server {shown(tracking_uri)} does not answer ({reason}); {advice}") from error
