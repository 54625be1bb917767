"""A file's bytes, taken out of gzip or out of a zip archive of one file."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from catalog.errors import CatalogueError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of `path` as they were before they were packed, whatever its name says.

    Raises:
        CatalogueError: it cannot be read, is packed badly, or is an archive of several files; also while the block reads it.
    """
    with ExitStack() as stack:
        try:
            yield _unpacked(path, stack)
        except (zlib.error, EOFError, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError) as error:
            raise CatalogueError(f"{path} is packed, and damaged or cut short: {error}") from error
        except OSError as error:
            raise CatalogueError(f"cannot read {path}: {error.strerror or error}") from error


def head(path: Path, size: int) -> bytes:
    """The first bytes of the file itself, packed or not."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise CatalogueError(f"cannot read {path}: {error.strerror or error}") from error


def unpacked_name(path: Path) -> str:
    """The name of what is inside: of the one file of an archive, or `path` without .gz; in lower case."""
    if head(path, 4) == ZIP:
        try:
            with zipfile.ZipFile(path) as archive:
                members = _members(archive)
        except (zipfile.BadZipFile, OSError):
            return path.name.lower()
        return members[0].filename.lower() if len(members) == 1 else path.name.lower()
    return path.name.lower().removesuffix(".gz")


def _unpacked(path: Path, stack: ExitStack) -> IO[bytes]:
    first = head(path, 4)
    if first.startswith(GZIP):
        return cast(IO[bytes], stack.enter_context(gzip.open(path, "rb")))
    if first != ZIP:
        return stack.enter_context(path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = _members(archive)
    if len(members) != 1:
        raise CatalogueError(f"{path} is an archive of {len(members)} files; unpack it, and bring in one of them")
    if members[0].flag_bits & 1:
        raise CatalogueError(f"{path} is an archive with a password; unpack it first")
    return stack.enter_context(archive.open(members[0]))


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of an archive, without folders and what macOS adds."""
    return [member for member in archive.infolist() if not member.is_dir() and not member.filename.startswith("__MACOSX/")]
