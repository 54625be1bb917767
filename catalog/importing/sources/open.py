"""Opens a file of any kind as a table of text."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import Progress, Source
from catalog.importing.sources.delimited import read_delimited
from catalog.importing.sources.table import workspace


@contextmanager
def open_source(path: Path, reading: ReadingMapping, progress: Progress | None = None) -> Iterator[Source]:
    """The rows of `path` as a table of text, for as long as the block runs.

    Raises:
        CatalogueError: the file cannot be read, or is no table; one line that names the file and where in it.
    """
    with workspace() as (folder, connection):
        try:
            source = read_delimited(path, reading, folder, connection, progress)
        except CatalogueError as error:
            message = str(error)
            raise (error if str(path) in message else CatalogueError(f"{path}: {message}")) from error.__cause__
        except duckdb.Error as error:
            raise CatalogueError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error
        yield source
