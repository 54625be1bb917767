"""Where an import goes: a catalogue that it makes, or one that gets a further table; all of it or nothing."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.write import new_catalogue

REPORTS = "import"
"""Folder of a catalogue with what its imports made and left out."""


@contextmanager
def target(out: Path | None, into: Path | None, tables: Sequence[str]) -> Iterator[Path]:
    """A folder whose files become those of the catalogue when the block ends well, and are gone when it does not.

    Raises:
        CatalogueError: not exactly one of `out` and `into`; `out` exists and is not an empty folder; `into` is no catalogue, or
            has one of `tables` already; it cannot be written.
    """
    if (out is None) == (into is None):
        raise CatalogueError("give exactly one of --out (a new catalogue) and --into (one that gets a further table)")
    if out is not None:
        with new_catalogue(out) as folder:
            yield folder
    elif into is not None:
        with _further_tables(into, tables) as folder:
            yield folder


@contextmanager
def _further_tables(into: Path, tables: Sequence[str]) -> Iterator[Path]:
    there = Catalogue.open(into).tables()
    if twice := [table for table in tables if table in there]:
        raise CatalogueError(f"{into} has {', '.join(f'{table}.parquet' for table in twice)} already; remove it, or choose --out")
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=".import-", dir=into))
        yield folder
        _move(folder, into)
    except OSError as error:
        raise CatalogueError(f"cannot write {into}: {error.strerror or error}") from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, into: Path) -> None:
    """Move the files of `folder` to where they belong; those that are moved go again where one cannot be."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: (path.suffix == ".parquet", path))
    moved: list[Path] = []
    try:
        for file in files:
            place = into / file.relative_to(folder)
            place.parent.mkdir(exist_ok=True)
            file.replace(place)
            moved.append(place)
    except OSError:
        for place in moved:
            place.unlink(missing_ok=True)
        raise
