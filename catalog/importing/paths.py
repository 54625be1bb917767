"""A category path in one cell, `Clothing > Tops > Polo Shirts`, as one value a level."""

import json
import re
from html import unescape

from catalog.importing.mapping import SplitMapping

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,10});")


def split_path(text: str | None, split: SplitMapping) -> tuple[str | None, ...]:
    """A value for each of `split.into`, coarse to fine, None where the path has none.

    A cell may hold several paths, divided by `alternatives` or as a JSON list: the deepest counts, the first of the deepest.
    A path longer than `into` gives its last level to the last column; one that is shorter leaves the finer columns empty, or
    repeats its last level where `fill` says so. A mark may be written as an HTML entity, `&gt;`.
    """
    paths = _listed(_unescaped((text or "").strip(), split), split)
    levels = max((_levels(path, split) for path in paths), key=len)
    width = len(split.into)
    if len(levels) > width:
        levels = [*levels[: width - 1], levels[-1]]
    rest = levels[-1] if split.fill and levels else None
    return (*levels, *[rest] * (width - len(levels)))


def _unescaped(text: str, split: SplitMapping) -> str:
    """With the marks that are HTML entities as such; with all entities where their own ";" would divide the cell."""

    def plain(match: re.Match[str]) -> str:
        said = unescape(match[0])
        return said if said in split.by or split.alternatives == ";" else match[0]

    return _ENTITY.sub(plain, text)


def _listed(text: str, split: SplitMapping) -> list[str]:
    """The paths of a cell: of a JSON list of texts each, or between `alternatives`."""
    if text.startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            listed = None
        if isinstance(listed, list) and listed and all(isinstance(path, str) for path in listed):
            return listed
    return text.split(split.alternatives) if split.alternatives else [text]


def _levels(path: str, split: SplitMapping) -> list[str]:
    mark = next((mark for mark in split.by if mark in path), None)
    parts = path.split(mark) if mark else [path]
    return [part.strip() for part in parts if part.strip()]
