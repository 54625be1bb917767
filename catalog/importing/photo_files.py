"""Finding photos below a folder by what an export calls them: a path, a file name, or an address."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote

from catalog.errors import CatalogueError, ImageError
from catalog.importing.sources.folder import PHOTOS

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^/?#]*", re.IGNORECASE)
_DRIVE = re.compile(r"[A-Za-z]:(?=/)")
_NAMED = 3


@dataclass(frozen=True)
class PhotoFiles:
    """The files below a folder; none is opened.

    Attributes:
        root: The folder.
        by_name: Paths inside it, by their last part as `_key` makes it; those without extension under that too.
        photos: Paths inside it of files that are photos by their names.
    """

    root: Path
    by_name: dict[str, list[str]] = field(default_factory=dict)
    photos: set[str] = field(default_factory=set)

    @classmethod
    def below(cls, root: Path) -> "PhotoFiles":
        """Look at every file once; links to folders are not followed.

        Raises:
            CatalogueError: no folder, or it cannot be read.
        """
        if not root.is_dir():
            raise CatalogueError(f"{root} is not a folder of photos")
        files = cls(root)
        try:
            for path in sorted(_walk(root, "")):
                key = _key(path.rpartition("/")[2])
                files.by_name.setdefault(key, []).append(path)
                if key.endswith(tuple(PHOTOS)) and not key.startswith("."):
                    files.photos.add(path)
                if (stem := key.rpartition(".")[0]) and stem != key:
                    files.by_name.setdefault(stem, []).append(path)
        except OSError as error:
            raise CatalogueError(f"cannot read {root}: {error.strerror or error}") from error
        return files

    def find(self, named: str) -> Path:
        """The file that a cell names.

        By its whole path below the folder where there is one, else by its last part where only one file is called so or only one
        lies in the folders that the cell names. The extension's case, the Unicode form, percent signs of addresses, a leading
        slash and the direction of slashes make no difference.

        Raises:
            ImageError: no such file, several, or one outside the folder.
        """
        for parts in _readings(named):
            if ".." in parts:
                raise ImageError("the path leads out of the image folder")
            path = self._one(self.by_name.get(_key(parts[-1]), []), [_key(part) for part in parts])
            if path is not None:
                return self._inside(path)
        raise ImageError("no such file below the image folder")

    def _one(self, paths: Sequence[str], wanted: Sequence[str]) -> str | None:
        """The path that agrees with most of the wanted parts, from the last on."""
        if not paths:
            return None
        agreeing = [_agreeing([_key(part) for part in path.split("/")], wanted) for path in paths]
        best = [path for path, parts in zip(paths, agreeing, strict=True) if parts == max(agreeing)]
        whole = [path for path in best if path.count("/") + 1 == len(wanted) and max(agreeing) > len(wanted) - 1]
        if len(best) > 1 and len(whole) != 1:
            raise ImageError(f"{len(best)} files are called so: {', '.join(best[:_NAMED])}{' …' if len(best) > _NAMED else ''}")
        return (whole or best)[0]

    def _inside(self, path: str) -> Path:
        file = self.root / path
        if not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(self.root)):  # resolve() raises on a link to itself
            raise ImageError("the link leads out of the image folder")
        if not file.is_file():
            raise ImageError("no file")
        return file


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}"


def _readings(named: str) -> Iterator[list[str]]:
    """Parts of the path that a cell names: as it stands, and with what addresses escape."""
    path = _ADDRESS.sub("", named).partition("#")[0].partition("?")[0] if _ADDRESS.match(named) else named
    for reading in dict.fromkeys((path, unquote(path), unquote(path).partition("?")[0])):
        slashed = _DRIVE.sub("", reading.replace("\\", "/"))
        parts = [part for part in slashed.split("/") if part.strip() not in ("", ".")]
        if parts and "\0" not in reading:
            yield parts


def _key(part: str) -> str:
    """A part of a path, in one Unicode form, its extension in lower case."""
    stem, dot, extension = normalize("NFC", part.strip()).rpartition(".")
    return f"{stem}{dot}{extension.lower()}" if stem else normalize("NFC", part.strip())


def _agreeing(path: Sequence[str], wanted: Sequence[str]) -> float:
    """Parts that two paths have in common at their end; a file that is named without its extension counts a half."""
    same = 0.0
    for ours, theirs in zip(reversed(path), reversed(wanted), strict=False):
        if ours == theirs:
            same += 1.0
        elif same == 0.0 and ours.rpartition(".")[0] == theirs:
            same += 0.5
        else:
            break
    return same
