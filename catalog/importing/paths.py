"""A category path in one cell, `Clothing > Tops > Polo Shirts`, as one value a level."""

import json

from catalog.importing.mapping import SplitMapping


def split_path(text: str | None, split: SplitMapping) -> tuple[str | None, ...]:
    """A value for each of `split.into`, coarse to fine, None where the path has none.

    A cell may hold several paths, divided by `alternatives` or as a JSON list: the deepest counts, the first of the deepest.
    A path longer than `into` gives its last level to the last column; one that is shorter leaves the finer columns empty, or
    repeats its last level where `fill` says so.
    """
    paths = _listed((text or "").strip(), split)
    levels = max((_levels(path, split) for path in paths), key=len)
    width = len(split.into)
    if len(levels) > width:
        levels = [*levels[: width - 1], levels[-1]]
    rest = levels[-1] if split.fill and levels else None
    return (*levels, *[rest] * (width - len(levels)))


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
