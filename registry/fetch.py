"""Brings a version's bundle onto this machine, and trusts it only file by file."""

import shutil
import uuid
from pathlib import Path

from configs.settings import Settings
from registry.bundle import verify
from registry.connection import connected
from registry.errors import RegistryError, TamperedBundle
from registry.register import BUNDLE
from registry.versions import ModelVersion


def fetch(settings: Settings, version: ModelVersion, cache: Path | None = None) -> Path:
    """Folder with the verified bundle: `<cache>/<model>/<version>`, by default under `$VITRINA_HOME/bundles`.

    A copy that is there already is verified again. Several processes may fetch at once.

    Raises:
        TamperedBundle: a file differs from what was registered, in the store or in the cache; nothing is left in the cache.
        RegistryError: the version has no digest or no files.
    """
    sealed = digest_of(version)
    folder = (cache or settings.home / "bundles") / version.model / str(version.version)
    if folder.exists():
        _verify_cached(folder, sealed)
        return folder
    part = folder.parent / f".{version.version}.{uuid.uuid4().hex}"
    try:
        part.mkdir(parents=True)
        _download(settings, version, part)
        try:
            verify(part / BUNDLE, sealed)
        except TamperedBundle as error:
            raise TamperedBundle(str(error).replace(str(part / BUNDLE), str(version))) from error
        _place(part / BUNDLE, folder)
    except OSError as error:
        raise RegistryError(f"cannot fetch {version} into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    _verify_cached(folder, sealed)
    return folder


def digest_of(version: ModelVersion) -> str:
    """SHA-256 of the manifest that sealed a version's files.

    Raises:
        RegistryError: the version has none.
    """
    sealed = version.tags.get("vitrina.bundle_sha256")
    if not sealed:
        raise RegistryError(f"{version} has no tag vitrina.bundle_sha256: it was not registered by Vitrina, and is not loaded")
    return sealed


def _download(settings: Settings, version: ModelVersion, into: Path) -> None:
    with connected(settings) as client:
        client.download_artifacts(version.run_id, BUNDLE, str(into))


def _place(downloaded: Path, folder: Path) -> None:
    """Rename into place; where another process was faster, its copy stays."""
    try:
        downloaded.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _verify_cached(folder: Path, sealed: str) -> None:
    try:
        verify(folder, sealed)
    except TamperedBundle as error:
        raise TamperedBundle(f"{error}; if that is not an attack, delete {folder} and it is fetched anew") from error
