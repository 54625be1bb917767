"""The manifest that seals a bundle: which files it has, their size and SHA-256. Knows nothing of MLflow."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field, ValidationError

from configs.schema import StrictModel
from registry.errors import TamperedBundle

MANIFEST = "manifest.json"
PICKLES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".bin", ".joblib", ".ckpt", ".dill", ".cloudpickle"})
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_MANIFEST_LIMIT = 4 * 1024 * 1024


class FileSeal(StrictModel):
    """Size in bytes and digest of one file."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class Manifest(StrictModel):
    """Every file of a bundle but the manifest, by its path inside the bundle."""

    files: dict[str, FileSeal]


def write_manifest(bundle: Path) -> Path:
    """Write `manifest.json` over the bundle's files as they are; returns its path.

    Raises:
        TamperedBundle: a symlink, a pickle, a name that is not plain, or no file at all.
    """
    files = {name: _seal(bundle / name) for name in sorted(_files(bundle))}
    if not files:
        raise TamperedBundle(f"bundle {bundle} is empty")
    path, part = bundle / MANIFEST, bundle / f".{MANIFEST}.part"
    part.write_text(Manifest(files=files).model_dump_json(indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def manifest_sha256(bundle: Path) -> str:
    """Digest of the manifest, which stands for the whole bundle.

    Raises:
        TamperedBundle: there is no manifest.
    """
    path = bundle / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise TamperedBundle(f"bundle {bundle} has no {MANIFEST}")
    return _digest(path)


def verify(bundle: Path, sha256: str | None = None) -> Manifest:
    """Check every file against the manifest, and the manifest against `sha256` where given.

    Raises:
        TamperedBundle: naming the file, and what differs.
    """
    digest = manifest_sha256(bundle)
    if sha256 is not None and digest != sha256:
        raise TamperedBundle(f"bundle {bundle}: {MANIFEST} has SHA-256 {digest[:12]}…, registered was {sha256[:12]}…")
    manifest = _read(bundle)
    present = set(_files(bundle))
    for name in sorted(manifest.files.keys() - present):
        raise TamperedBundle(f"bundle {bundle}: {name} is missing")
    for name in sorted(present - manifest.files.keys()):
        raise TamperedBundle(f"bundle {bundle}: {name} is not in the manifest")
    for name, expected in manifest.files.items():
        found = _seal(bundle / name)
        if found.size != expected.size:
            raise TamperedBundle(f"bundle {bundle}: {name} has {found.size} bytes, the manifest says {expected.size}")
        if found.sha256 != expected.sha256:
            raise TamperedBundle(
                f"bundle {bundle}: {name} has SHA-256 {found.sha256[:12]}…, the manifest says {expected.sha256[:12]}…"
            )
    return manifest


def _read(bundle: Path) -> Manifest:
    path = bundle / MANIFEST
    if path.stat().st_size > _MANIFEST_LIMIT:
        raise TamperedBundle(f"bundle {bundle}: {MANIFEST} is larger than {_MANIFEST_LIMIT} bytes")
    try:
        manifest = Manifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValidationError) as error:
        raise TamperedBundle(f"bundle {bundle}: {MANIFEST} is not a manifest: {str(error).splitlines()[0]}") from error
    for name in manifest.files:
        _check_name(bundle, name)
    return manifest


def _files(bundle: Path) -> Iterator[str]:
    """Paths of all files but the manifest, relative to the bundle; what is neither file nor folder is refused."""
    if bundle.is_symlink() or not bundle.is_dir():
        raise TamperedBundle(f"bundle {bundle} is not a folder")
    folders = [bundle]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                name = path.relative_to(bundle).as_posix()
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    folders.append(path)
                elif not stat.S_ISREG(mode):
                    raise TamperedBundle(f"bundle {bundle}: {name} is not a regular file")
                elif name != MANIFEST:
                    _check_name(bundle, name)
                    yield name


def _check_name(bundle: Path, name: str) -> None:
    parts = name.split("/")
    if not all(_PLAIN_NAME.fullmatch(part) for part in parts):
        raise TamperedBundle(f"bundle {bundle}: path {name!r} is not a plain relative path")
    if PurePosixPath(name).suffix.lower() in PICKLES:
        raise TamperedBundle(f"bundle {bundle}: {name} may hold pickled code; allowed are safetensors, JSON, Parquet and text")


def _seal(path: Path) -> FileSeal:
    return FileSeal(sha256=_digest(path), size=path.stat().st_size)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
