"""Opens a file of any kind as a table of text."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import Progress, Source
from catalog.importing.sources.delimited import read_delimited
from catalog.importing.sources.feed import read_feed
from catalog.importing.sources.folder import read_folder
from catalog.importing.sources.json_records import read_json
from catalog.importing.sources.opening import ZIP, head, opened, unpacked_name
from catalog.importing.sources.spreadsheet import read_spreadsheet
from catalog.importing.sources.table import workspace

Format = Literal["csv", "json", "xlsx", "xml", "folder"]

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # how xls files begin
_SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_BY_NAME: tuple[tuple[tuple[str, ...], Format], ...] = (
    ((".csv", ".tsv", ".tab"), "csv"),
    ((".json", ".jsonl", ".ndjson"), "json"),
    ((".xml", ".rss", ".atom"), "xml"),
)


@contextmanager
def open_source(path: Path, reading: ReadingMapping, progress: Progress | None = None) -> Iterator[Source]:
    """The rows of `path` as a table of text, for as long as the block runs.

    Raises:
        CatalogueError: the file cannot be read, or is no table; one line that names the file and where in it.
    """
    with workspace() as (folder, connection):
        try:
            source = _read(path, reading, folder, connection, progress)
        except CatalogueError as error:
            message = str(error)
            raise (error if str(path) in message else CatalogueError(f"{path}: {message}")) from error.__cause__
        except duckdb.Error as error:
            raise CatalogueError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from error
        yield source


def format_of(path: Path) -> Format:
    """What kind of file it is, by its first bytes and then by its name.

    Raises:
        CatalogueError: it cannot be read, or is a web page.
    """
    if path.is_dir():
        return "folder"
    name, first = path.name.lower(), head(path, 8)
    if first == _OLE or (first.startswith(ZIP) and (name.endswith(_SHEETS) or _is_book(path))):
        return "xlsx"
    name = unpacked_name(path)
    if name.endswith(_SHEETS) and first[:2] == b"\x1f\x8b":
        return "xlsx"
    text = _beginning(path)
    if text.startswith((b"<!doctype html", b"<html", b"<table")):
        raise CatalogueError("is a web page; save the table in it as CSV or xlsx")
    if text.startswith((b"<?xml", b"<rss", b"<feed", b"<yml_catalog")):
        return "xml"
    for endings, kind in _BY_NAME:
        if name.endswith(endings):
            return kind
    return "xml" if text.startswith(b"<") else "json" if text.startswith((b'{"', b"[{", b"{\n", b"[\n")) else "csv"


def _read(
    path: Path, reading: ReadingMapping, folder: Path, connection: duckdb.DuckDBPyConnection, progress: Progress | None
) -> Source:
    kind = reading.format or format_of(path)
    if kind == "csv":
        return read_delimited(path, reading, folder, connection, progress)
    if kind == "json":
        return read_json(path, reading, connection, progress)
    if kind == "xlsx":
        return read_spreadsheet(path, reading, connection, progress)
    if kind == "xml":
        return read_feed(path, reading, connection, progress)
    return read_folder(path, connection, progress)


def _is_book(path: Path) -> bool:
    """Whether a zip archive is a spreadsheet whatever its name."""
    start = head(path, 4096)
    return b"[Content_Types].xml" in start or b"application/vnd.oasis.opendocument.spreadsheet" in start


def _beginning(path: Path) -> bytes:
    """The first bytes that are no space, unpacked and in lower case."""
    with opened(path) as file:
        return file.read(1024).removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").removeprefix(b"\xff\xfe").lstrip()[:64].lower()
