"""Catalogues in an S3-compatible store: their tables are brought to this machine, once in each state in which they are found.

Keys and the store's address come from the environment, as everywhere with S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for a
store that is not AWS's, AWS_ENDPOINT_URL.
"""

import hashlib
import os
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.schema import TABLES

if TYPE_CHECKING:
    from s3fs import S3FileSystem

SCHEME = "s3://"
ENDPOINT = "AWS_ENDPOINT_URL"
PROBE_SECONDS = 5.0
PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 3, "mode": "standard"}}
"""Seconds of a request to a store that has answered before, and how often it is made."""
OTHERS_NEED = 3600.0
"""Longest wait, in seconds, for another process that brings the same tables."""
_ADDRESS = re.compile(r"s3://([a-z0-9][-.a-z0-9]{1,61}[a-z0-9])((?:/.*)?)", re.DOTALL)


def is_remote(address: str | Path) -> bool:
    """Whether a catalogue lies in a store rather than in a folder."""
    return str(address).startswith(SCHEME)


def open_catalogue(addresses: Sequence[str | Path], cache: Path) -> Catalogue:
    """The catalogue that folders and `s3://bucket/prefix` addresses together are; see `folder_of` and `Catalogue.open`.

    Raises:
        CatalogueError: one of them cannot be read, or is no catalogue.
    """
    return Catalogue.open(*(folder_of(address, cache) for address in addresses))


def folder_of(address: str | Path, cache: Path) -> Path:
    """Folder with the known tables of `address`, below `cache` and named by their ETags; a folder of this machine as it is.

    Tables that were brought before are not brought again while the store has the same ones. A process that comes while another
    one brings them waits for it. Nothing is left of a transfer that failed.

    Raises:
        CatalogueError: no such address, no table there, no access, a store that does not answer, tables that changed meanwhile,
            or no room for them.
    """
    if not is_remote(address):
        return Path(address)
    bucket, prefix = _parts(str(address))
    where = f"{SCHEME}{bucket}{prefix}"
    probe(where)
    with _translated(where):
        store = _store()
        tables = _tables(store, f"{bucket}{prefix}", where)
        folder = cache / _name(bucket, prefix, tables)
        if not folder.is_dir():
            _bring(store, f"{bucket}{prefix}", where, tables, folder)
    return folder


def _parts(address: str) -> tuple[str, str]:
    """Bucket, and the prefix with a slash before it or nothing."""
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise CatalogueError(f"{address} is not the address of a catalogue; allowed: s3://bucket/prefix")
    return found[1], found[2].rstrip("/")


def probe(where: str) -> None:
    """Ask the store whether it is there: its client would try for minutes.

    Raises:
        CatalogueError: it is not.
    """
    if not (address := os.environ.get(ENDPOINT)):
        return
    try:
        trusted = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
        with urllib.request.urlopen(address, timeout=PROBE_SECONDS, context=trusted):  # noqa: S310 - the user's own address
            return
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is for its client to find out
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CatalogueError(f"{where}: the store {address} does not answer ({reason}); see {ENDPOINT}") from error


def _store() -> "S3FileSystem":
    from s3fs import S3FileSystem

    return S3FileSystem(config_kwargs=PATIENCE, use_listings_cache=False, skip_instance_cache=True)


def _tables(store: "S3FileSystem", path: str, where: str) -> dict[str, tuple[str, int]]:
    """ETag and bytes of each known table, by file."""
    known = [f"{table}.parquet" for table in TABLES]
    try:
        listed: list[dict[str, Any]] = store.ls(path, detail=True, refresh=True)
    except FileNotFoundError as error:
        if error.__cause__ is not None:  # the store itself said so
            raise
        listed = []
    found = {str(entry["name"]).removeprefix(f"{path}/"): entry for entry in listed if entry["type"] == "file"}
    if not any(name in found for name in known):
        raise CatalogueError(f"{where} holds no catalogue table; known: {', '.join(known)}")
    return {name: (str(found[name]["ETag"]), int(found[name]["size"])) for name in known if name in found}


def _name(bucket: str, prefix: str, tables: Mapping[str, tuple[str, int]]) -> str:
    """Folder that says where its tables came from; the same tables have the same one."""
    about = [os.environ.get(ENDPOINT, ""), bucket, prefix, sorted(tables.items())]
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", f"{bucket}{prefix}")[-80:].strip("-.")
    return f"{readable}-{hashlib.sha256(repr(about).encode()).hexdigest()[:16]}"


def _bring(store: "S3FileSystem", path: str, where: str, tables: Mapping[str, tuple[str, int]], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=OTHERS_NEED):
            if folder.is_dir():
                return
            part = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
            part.mkdir()
            try:
                _require_room(part, sum(size for _, size in tables.values()), where)
                for name in tables:
                    store.get_file(f"{path}/{name}", str(part / name))
                if _tables(store, path, where) != tables:
                    raise CatalogueError(f"{where} changed while it was read; begin again when its tables are complete")
                part.rename(folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except Timeout as error:
        raise CatalogueError(
            f"another process has been bringing {where} to {folder} for {OTHERS_NEED / 60:.0f} minutes"
        ) from error


def _require_room(folder: Path, size: int, where: str) -> None:
    if (free := shutil.disk_usage(folder).free) < size:
        raise CatalogueError(f"{where} has {size / 1e6:,.0f} MB, and {folder.parent} has room for {free / 1e6:,.0f} MB")


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Errors of the store as one line."""
    from botocore.exceptions import BotoCoreError, ConnectionError, HTTPClientError, NoCredentialsError, PartialCredentialsError

    store = os.environ.get(ENDPOINT) or "AWS"
    try:
        yield
    except CatalogueError:
        raise
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CatalogueError(f"{where}: no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from error
    except (ConnectionError, HTTPClientError) as error:
        raise CatalogueError(f"{where}: the store {store} does not answer; see {ENDPOINT}") from error
    except OSError as error:  # with a name, of a file here; else what the store says, in the words for files
        what = f"cannot write {error.filename}" if error.filename else f"{where}: the store {store} says"
        raise CatalogueError(f"{what}: {_line(error)}") from error
    except (BotoCoreError, ValueError) as error:
        raise CatalogueError(f"{where}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:300]
