"""A category path in one cell, `Clothing > Tops > Polo Shirts`, as one value a level."""

from catalog.importing.mapping import SplitMapping


def split_path(text: str | None, split: SplitMapping) -> tuple[str | None, ...]:
    """A value for each of `split.into`, coarse to fine, None where the path has none.

    Of several paths the deepest counts, the first of equally deep ones. A path longer than `into` gives its last level to the
    last column; one that is shorter leaves the finer columns empty, or repeats its last level where `fill` says so.
    """
    paths = (text or "").split(split.alternatives) if split.alternatives else [text or ""]
    levels = max((_levels(path, split) for path in paths), key=len)
    width = len(split.into)
    if len(levels) > width:
        levels = [*levels[: width - 1], levels[-1]]
    rest = levels[-1] if split.fill and levels else None
    return (*levels, *[rest] * (width - len(levels)))


def _levels(path: str, split: SplitMapping) -> list[str]:
    mark = next((mark for mark in split.by if mark in path), None)
    parts = path.split(mark) if mark else [path]
    return [part.strip() for part in parts if part.strip()]
