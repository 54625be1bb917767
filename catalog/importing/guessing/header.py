"""Where the names of the columns stand, if not in the first line: below a title, or in another sheet."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from catalog.importing.guessing.names import SURE, meant, words
from catalog.importing.mapping import ReadingMapping
from catalog.importing.sources.dialect import SEPARATORS, is_value
from catalog.importing.sources.encoding import decoded, encoding_of
from catalog.importing.sources.lines import Lines
from catalog.importing.sources.open import format_of
from catalog.importing.sources.opening import opened
from catalog.importing.sources.spreadsheet import first_rows

_LOOK = 12  # lines among which the header is looked for
_ENOUGH = 2  # names that say what they mean: a row of values has hardly more than one


def header_elsewhere(path: Path, reading: ReadingMapping) -> ReadingMapping:
    """`reading` with the lines to skip, or the sheet, where the first line names nothing that is known and a later one does.

    Of several such lines that follow each other, as where a shop names its columns for people and then for programs, the last
    counts. What the person has said is left as it is.

    Raises:
        CatalogueError: the file cannot be read.
    """
    if not reading.header or reading.skip:
        return reading
    kind = reading.format or format_of(path)
    if kind == "xlsx":
        for n, (sheet, rows) in enumerate(first_rows(path, _LOOK)):
            if reading.sheet in (None, sheet) and (skip := _header(map(_known, rows))) is not None:
                return reading.model_copy(update={"skip": skip, "sheet": sheet if n else reading.sheet})
    elif kind == "csv" and (skip := _header(map(_known_in_line, _lines(path, reading)))):
        return reading.model_copy(update={"skip": skip})
    return reading


def means_something(name: str) -> bool:
    """Whether a name is one of those that are known."""
    return any(meant(name, meaning) >= SURE for meaning in words())


def _header(known: Iterable[int]) -> int | None:
    """The place of the header, given how many known names each line has; None where none has enough."""
    counts = list(known)
    enough = [count >= _ENOUGH for count in counts]
    if True not in enough or (counts[0] and not enough[0] and max(counts) <= _ENOUGH):
        return None
    place = enough.index(True)
    while place + 1 < len(enough) and enough[place + 1]:
        place += 1
    return place


def _known(cells: Sequence[str]) -> int:
    """How many names of a row are known; none where one occurs twice, or is a value."""
    given = [cell.strip() for cell in cells if cell.strip()]
    return 0 if len(set(given)) < len(given) or any(map(is_value, given)) else sum(map(means_something, given))


def _known_in_line(line: str) -> int:
    return max((_known(row) for separator in SEPARATORS for row in csv.reader([line], delimiter=separator)), default=0)


def _lines(path: Path, reading: ReadingMapping) -> list[str]:
    with opened(path) as file:
        encoding = encoding_of(file, reading.encoding)
    with opened(path) as file:
        return Lines(decoded(file, encoding)).sample()[:_LOOK]
