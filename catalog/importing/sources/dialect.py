"""How the values of a line are separated and quoted, and which columns the header names."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import LINE
from catalog.importing.sources.encoding import UNREADABLE
from catalog.importing.sources.lines import RETURN, Lines

SEPARATORS = (",", ";", "\t", "|")
"""What separates values in exports, the commonest first."""

NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""What a person calls them."""

ROW_LIKE, NO_HEADER = "looks like a row", "say header: false if it names no columns"
"""What is told of a header that may be a row."""

_NO_NAME = str.maketrans({"\0": None, RETURN: " ", UNREADABLE: "\ufffd"})  # characters that no name keeps
_WIDEST = 4  # bytes of a separator, for DuckDB
_SHARE = 0.9  # share of the sampled rows that must fit before a dialect is chosen against the one a header suggests
_SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_UNIT = "\x1f"  # stands for a separator of several characters where csv wants one; text does not hold it
_VALUE = re.compile(r"[-+]?[\d.,:/ -]*\d[\d.,:/ -]*|\S+@\S+|https?:.*")


@dataclass(frozen=True)
class Dialect:
    """How values stand in a line.

    Attributes:
        separator: Between two values.
        quote: Around values that hold a separator; "" where quotes are text.
        escape: Before a quote inside a quoted value; the quote itself by default.
    """

    separator: str
    quote: str = '"'
    escape: str = '"'

    @property
    def options(self) -> dict[str, Any]:
        """What Python's csv module wants to know; a separator of several characters must have been replaced."""
        return {
            "delimiter": self.separator if len(self.separator) == 1 else _UNIT,
            "quotechar": self.quote or None,
            "quoting": csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            "doublequote": self.escape == self.quote,
            "escapechar": None if self.escape == self.quote or not self.quote else self.escape,
        }

    def rows(self, lines: Iterable[str]) -> list[tuple[int, list[str]]]:
        """Rows with the number of lines they and all before them take; of a row that is not quoted rightly, one value.

        For samples and headers: the table itself is read by DuckDB.
        """
        reader = csv.reader(
            (line + "\n" if len(self.separator) == 1 else line.replace(self.separator, _UNIT) + "\n" for line in lines),
            **self.options,
            strict=True,
        )
        found: list[tuple[int, list[str]]] = []
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return found
            except csv.Error:
                row = ["\n"]
            if row:
                found.append((reader.line_num, [value.replace(_UNIT, self.separator) for value in row]))


@dataclass(frozen=True)
class Header:
    """Names of the columns.

    Attributes:
        names: As they stand, without spaces around; `column 3` for the third where it has no name. Of two that differ in case
            alone, which a database takes for one, the second gets a number.
        unnamed: Of these, those without a name in the file.
        line: Where the header stands; None without one.
    """

    names: tuple[str, ...]
    unnamed: tuple[str, ...] = ()
    line: int | None = None


def start(lines: Lines, reading: ReadingMapping) -> tuple[str | None, list[str]]:
    """Go to the first line of the table; the separator that a `sep=` line names, and what was passed over."""
    for _ in range(reading.skip):
        lines.take()
    blank, separator, notes = 0, None, list[str]()
    while (ahead := lines.sample()) and (
        not ahead[0].strip() or (separator is None and _SEP_LINE.fullmatch(ahead[0].rstrip("\r")))
    ):
        line = lines.take() or ""
        if named := _SEP_LINE.fullmatch(line.strip("\r")):
            separator = named[1]
            notes.append(f"line {lines.number} says that {named_separator(separator)} separates values; it is no row")
        else:
            blank += 1
    if blank:
        notes.append(f"{blank} blank line{'s' * (blank > 1)} before the table skipped")
    return separator, notes


def dialect_of(sample: Sequence[str], reading: ReadingMapping, separator: str | None) -> Dialect:
    """The dialect as said, or the one under which most rows of the sample have as many values as its first.

    Raises:
        CatalogueError: the separator cannot be used; or the first line has one value where all others have several: it names
            no columns.
    """
    separators = [s for s in (reading.separator, separator) if s is not None][:1] or list(SEPARATORS)
    quote = '"' if reading.quote is None else reading.quote
    if unusable := [s for s in separators if len(s.encode()) > _WIDEST or set(s) & {"\n", "\r", "\0", quote}]:
        raise CatalogueError(
            f"separator {unusable[0]!r} cannot be used; allowed: up to {_WIDEST} bytes, no line end and no quote"
        )
    best = max((Dialect(s, quote, quote) for s in separators), key=lambda dialect: _fit(dialect, sample))
    if _width(best, sample) < 2 and len(separators) > 1:
        return _single(sample, quote)
    if quote and any(rf"\{quote}" in line for line in sample):
        escaped = replace(best, escape="\\")
        return max((best, escaped), key=lambda dialect: _fit(dialect, sample))
    return best


def header_of(lines: Lines, dialect: Dialect, reading: ReadingMapping) -> tuple[Header, list[str]]:
    """Take the header, if there is one; the names of the columns, and what must be told.

    Raises:
        CatalogueError: a name occurs twice, or there is no header at all.
    """
    rows = dialect.rows(lines.sample())
    if not rows:
        raise CatalogueError("is empty; its first line must name the columns")
    if not reading.header:
        width = Counter(len(row) for _, row in rows).most_common(1)[0][0]
        return Header(tuple(str(n + 1) for n in range(width))), []
    taken, names = rows[0]
    if names == ["\n"]:
        raise CatalogueError(f"line {lines.number + 1}: the header is not quoted rightly")
    line = lines.number + 1
    for _ in range(taken):
        lines.take()
    header = named(_as_wide(names, [row for _, row in rows[1:]]), line)
    return header, [hint] if (hint := _no_header(names, line)) else []


def named(names: Sequence[str], line: int) -> Header:
    """The header of which `names` are the cells.

    Raises:
        CatalogueError: a name occurs twice.
    """
    plain = [" ".join(name.translate(_NO_NAME).split()) for name in names]
    if twice := [name for name, times in Counter(filter(None, plain)).items() if times > 1]:
        places = ", ".join(
            f"{name!r} ({' and '.join(str(n + 1) for n, other in enumerate(plain) if other == name)})" for name in twice
        )
        mend = f"it {ROW_LIKE}: {NO_HEADER}" if _no_header(plain, line) is not None else "give each its own name"
        raise CatalogueError(f"line {line}: the header names columns twice: {places}; {mend}")
    given, unnamed = list[str](), list[str]()
    for n, name in enumerate(plain):
        given.append(distinct(name or f"column {n + 1}", [LINE, *given]))
        unnamed += [] if name else [given[-1]]
    return Header(tuple(given), tuple(unnamed), line)


def _as_wide(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Sequence[str]:
    """The header with as many cells as nearly all rows have, where only empty ones at the end make the difference."""
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else len(names)
    fitting = [row for row in rows if len(row) == width]
    if len(fitting) < _SHARE * len(rows):
        return names
    if width > len(names) and not any(value.strip() for row in fitting for value in row[len(names) :]):
        return [*names, *[""] * (width - len(names))]
    if width < len(names) and not any(name.strip() for name in names[width:]):
        return names[:width]
    return names


def distinct(name: str, others: Sequence[str]) -> str:
    """The name, with a number where one of the others is the same but for case."""
    taken = {other.lower() for other in others}
    free = (f"{name} ({n})" for n in count(2))
    return name if name.lower() not in taken else next(other for other in free if other.lower() not in taken)


def named_separator(separator: str) -> str:
    """The separator in words."""
    return NAMES.get(separator, repr(separator))


def _width(dialect: Dialect, sample: Sequence[str]) -> int:
    rows = dialect.rows(sample)
    return len(rows[0][1]) if rows else 0


def _fit(dialect: Dialect, sample: Sequence[str]) -> tuple[bool, bool, float, int]:
    """How well rows fit: whether there is more than one column, whether nearly all fit, the share that do, and the columns."""
    rows = [row for _, row in dialect.rows(sample)]
    if not rows:
        return False, False, 0.0, 0
    width = len(rows[0])
    share = sum(len(row) == width for row in rows[1:]) / len(rows[1:]) if rows[1:] else 1.0
    return width > 1, share >= _SHARE, round(share, 1), width


def _single(sample: Sequence[str], quote: str) -> Dialect:
    """One column: nothing separates, unless all lines after the first say otherwise."""
    for separator in SEPARATORS:
        widths = {len(row) for _, row in Dialect(separator, quote, quote).rows(sample)[1:]}
        if len(widths) == 1 and (width := widths.pop()) > 1:
            raise CatalogueError(
                f"the first line has one value and the others {width}, separated by {named_separator(separator)}; "
                "it must name the columns: say how many lines to skip before it, header: false, or the separator"
            )
    return Dialect(_UNIT, quote, quote)


def is_value(name: str) -> bool:
    """Whether it is a number, a date or an address, and so hardly the name of a column; a year may be one."""
    return _VALUE.fullmatch(name.strip()) is not None and not re.fullmatch("(19|20)[0-9]{2}", name.strip())


def _no_header(names: Sequence[str], line: int) -> str | None:
    value = next(filter(is_value, names), None)
    if value is None:
        return None
    return f"line {line} {ROW_LIKE} ({value.strip()!r}), and was taken as the header; {NO_HEADER}"
