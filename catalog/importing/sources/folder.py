"""A folder of photos as a table: a row a photo, the folders it lies in as columns."""

import os
from pathlib import Path

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.source import Progress, Source
from catalog.importing.sources.records import Records

PHOTOS = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})
"""How the names of photos end, in lower case."""


def read_folder(path: Path, connection: duckdb.DuckDBPyConnection, progress: Progress | None) -> Source:
    """The photos below `path`, sorted by where they lie: path, file, stem, and folder_1, folder_2 … from the outermost in.

    Hidden files and folders are left out; links to folders are not followed.

    Raises:
        CatalogueError: it is no folder, or no photo lies below it.
    """
    if not path.is_dir():
        raise CatalogueError("is not a folder")
    records = Records(connection, progress, "photos found")
    records.declare(("path", "file", "stem"))
    others = 0
    for n, photo in enumerate(_files(path), 1):
        if photo.suffix.lower() not in PHOTOS:
            others += 1
            continue
        folders = {f"folder_{level}": name for level, name in enumerate(photo.parts[:-1], 1)}
        records.add(n - others, {"path": photo.as_posix(), "file": photo.name, "stem": photo.stem, **folders})
    notes = (
        ["1 file that is no photo left out" if others == 1 else f"{others} files that are no photos left out"] if others else []
    )
    source = records.source(path, notes)
    if not source.rows and not source.misfits:
        raise CatalogueError(f"holds no photo ({', '.join(sorted(PHOTOS))})")
    return source


def _files(root: Path) -> list[Path]:
    """All files below `root`, as paths from there, sorted."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name).relative_to(root) for name in files if not name.startswith(".")]
    return sorted(found, key=lambda photo: photo.parts)


def _refuse(error: OSError) -> None:
    raise CatalogueError(f"cannot read {error.filename}: {error.strerror}") from error
