# ruff: noqa: S608 (names are quoted)
"""What the values of a column look like."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import unescape

from catalog.importing.mapping import MISSING
from catalog.importing.source import LINE, TABLE, Source
from catalog.importing.sources.folder import PHOTOS
from catalog.importing.sources.table import quoted

SAMPLE = 2000
"""Values of a column that are looked at, spread over the file."""

MOST = 0.9
"""Share of values that must be of a kind for a column to be of it; a few are always wrong."""

PATH_MARKS = (">", "»", "|", "/")
"""Marks between the levels of a category path, the surest first."""

DATE_FORMS = (
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d-%m-%Y",
    "%m/%d/%y, %I:%M %p", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d %B %Y",
    "%b %d, %Y", "%B %d, %Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S",
)  # fmt: skip
"""Forms of dates beside ISO 8601 that are tried."""

_NOT_STRPTIME = {
    "ISO8601": r"[12]\d{3}-[01]\d-[0-3]\d(?!\d)",
    "unix": r"(?:9\d{8}|1\d{9})$",
    "unix_ms": r"1\d{12}$",
}
_NUMBER = re.compile(
    r"(?:[A-Z]{3}|(?i:Rs\.?)|[$€£¥₹₽₩])?\s*[-+]?\d[\d.,'’ \u00a0\u202f]*\s*(?:[A-Z]{3}|[$€£¥₹₽₩]|(?i:руб\.?|р\.)|zł|kr)?"
)
_YES_OR_NO = {
    "true", "false", "yes", "no", "y", "n", "0", "1", "t", "f", "x", "on", "off", "ja", "nein", "wahr", "falsch", "si", "sí",
    "verdadero", "falso", "vero", "oui", "non", "vrai", "faux", "sim", "não", "nao", "verdadeiro", "nee", "nej", "tak", "nie",
    "ano", "ne", "da", "nu", "да", "нет", "истина", "ложь", "так", "ні", "evet", "hayır", "是", "否", "はい", "いいえ",
}  # fmt: skip
_HTML = re.compile(r"</?[a-zA-Z][^>]*>|&[a-z]+;")
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_NOON = re.compile(r"\b[AP]\.?M\b", re.IGNORECASE)
_CURRENCIES = {"€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₩": "KRW", "rs": "INR", "руб": "RUB", "zł": "PLN"}


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes:
        name: As in the source.
        filled: Share of rows with a value.
        distinct: Different values, in all rows.
        rows: Of the file.
        values: A sample of those that are there, without marks of what is missing.
    """

    name: str
    filled: float
    distinct: int
    rows: int
    values: tuple[str, ...]

    @property
    def unique(self) -> bool:
        """Whether each row has its own value."""
        return self.rows > 0 and self.distinct == self.rows and self.filled == 1

    @property
    def repeated(self) -> bool:
        """Whether values are few enough to be classes: each occurs about twice or more."""
        return 0 < self.distinct <= max(2.0, self.filled * self.rows / 2)

    @cached_property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.values)) / len(self.values) if self.values else 0.0

    @cached_property
    def numeric(self) -> bool:
        """Whether values are numbers or amounts."""
        return self.numbers >= MOST

    @cached_property
    def numbers(self) -> float:
        """Share of the values that are numbers or amounts."""
        return sum(_NUMBER.fullmatch(value.strip()) is not None for value in self.values) / max(len(self.values), 1)

    def no_number(self) -> str:
        """The first value that is none; "" where all are."""
        return next((value for value in self.values if _NUMBER.fullmatch(value.strip()) is None), "")

    @cached_property
    def html(self) -> bool:
        """Whether some values hold HTML."""
        return any(_HTML.search(value) for value in self.values)

    @cached_property
    def tags(self) -> bool:
        """Whether some values hold HTML beyond escaped characters."""
        return any(_TAG.search(value) for value in self.values)

    @cached_property
    def photos(self) -> bool:
        """Whether values are names or addresses of photos."""
        endings = tuple(PHOTOS)
        return self._mostly(
            lambda value: any(part.split("?")[0].strip(" '\"]").endswith(endings) for part in _parts(value.lower()))
        )

    @cached_property
    def files(self) -> bool:
        """Whether values are paths or names of files."""
        return self._mostly(lambda value: re.fullmatch(r"\S*[\w)]\.[A-Za-z]{2,4}", value.strip()) is not None)

    @cached_property
    def yes_or_no(self) -> bool:
        """Whether values say whether something is so."""
        return {value.strip().lower() for value in self.values} <= _YES_OR_NO

    @cached_property
    def addresses(self) -> bool:
        """Whether values are addresses of pages."""
        return self._mostly(lambda value: re.match(r"(https?://|www\.)", value.strip().lower()) is not None)

    @cached_property
    def mark(self) -> str | None:
        """The mark between levels, if values are paths of categories."""
        if self.photos or self.addresses or self.tags or self.length > 200 or self.date_form is not None:
            return None
        for mark in PATH_MARKS:
            spaced = mark in (">", "»", "|") or mark != "/"
            with_mark = [value for value in map(unescape, self.values) if mark in value.strip(mark) and _has_words(value)]
            if len(with_mark) >= (0.3 if spaced else 0.5) * len(self.values) and with_mark and not self.numeric:
                return mark
        commas = sum("," in value for value in self.values)
        return "," if commas >= 0.3 * len(self.values) and commas and self.repeated and not self.numeric else None

    def depths(self, mark: str, alternatives: str | None) -> Counter[int]:
        """How many levels the paths have."""
        paths = (
            path for value in map(unescape, self.values) for path in (value.split(alternatives) if alternatives else [value])
        )
        return Counter(len([level for level in path.split(mark) if level.strip()]) for path in paths)

    @cached_property
    def date_form(self) -> str | None:
        """The form of dates that nearly all values have: ISO8601, unix, unix_ms, or as in strptime."""
        if not self.values:
            return None
        for form in ("ISO8601", *DATE_FORMS, "unix", "unix_ms"):
            if sum(_has_form(value, form) for value in self.values) >= MOST * len(self.values):
                return form
        return None

    @cached_property
    def date_forms(self) -> tuple[str, ...]:
        """The forms of dates that values have, the commonest first; none where most values are no dates."""
        if self.date_form is not None:
            return (self.date_form,)
        left, forms = list(self.values), list[str]()
        for form in ("ISO8601", *DATE_FORMS, "unix", "unix_ms"):
            fitting = {value for value in left if _has_form(value, form)}
            if fitting:
                forms.append(form)
                left = [value for value in left if value not in fitting]
        return tuple(forms) if len(left) * 2 < len(self.values) else ()

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """ISO codes of the currencies in amounts."""
        found: Counter[str] = Counter()
        for value in self.values:
            for sign in re.findall(r"[A-Z]{3}|[€£₹₽₩]|(?i:rs\b)|руб|zł", value):
                found[_CURRENCIES.get(sign.lower(), sign)] += 1
        return tuple(code for code, _ in found.most_common())

    @cached_property
    def comma_decimals(self) -> tuple[str | None, str | None, str | None]:
        """A value whose comma is surely a decimal mark, one whose point surely is, and one that may be read in two ways."""
        comma = point = either = None
        for value in self.values:
            digits = re.sub(r"[^\d.,]", "", value).strip(".,")
            marks = re.sub(r"\d", "", digits)
            if not marks:
                continue
            last = marks[-1]
            after = len(digits) - digits.rfind(last) - 1
            if len(set(marks)) == 2 or (len(marks) == 1 and after != 3):
                comma, point = (comma or value, point) if last == "," else (comma, point or value)
            elif len(marks) == 1:
                either = either or value
            else:
                comma, point = (comma, point or value) if last == "," else (comma or value, point)
        return comma, point, either

    def examples(self, count: int = 2, length: int = 40) -> str:
        """The commonest values, quoted and shortened."""
        common = [value for value, _ in Counter(self.values).most_common(count)]
        return ", ".join('"' + _short(value, length) + '"' for value in common)

    def _mostly(self, test: Callable[[str], bool]) -> bool:
        return bool(self.values) and sum(map(test, self.values)) >= MOST * len(self.values)


def profiles(source: Source) -> list[Column]:
    """What each column of a source looks like."""
    if not source.columns:
        return []
    each = ", ".join(f"count({quoted(name)}), count(DISTINCT {quoted(name)})" for name in source.columns)
    (counts,) = source.connection.execute(f"SELECT {each} FROM {TABLE}").fetchall()
    step = max(1, source.rows // SAMPLE)
    names = ", ".join(map(quoted, source.columns))
    chosen = f"hash({LINE}) % {step} = 0"  # spread over the file, whatever repeats every so many rows
    sample = source.connection.execute(f"SELECT {names} FROM {TABLE} WHERE {chosen} ORDER BY {LINE}").fetchall()
    return [
        Column(name, counts[2 * n] / max(source.rows, 1), counts[2 * n + 1], source.rows, _present(sample, n))
        for n, name in enumerate(source.columns)
    ]


def moment(value: str, form: str) -> datetime | None:
    """The moment that a date says."""
    try:
        return datetime.strptime(value.strip(), form).replace(tzinfo=UTC)
    except ValueError:
        return None


def _has_form(value: str, form: str) -> bool:
    if form in _NOT_STRPTIME:
        return re.match(_NOT_STRPTIME[form], value.strip()) is not None
    return moment(value, form) is not None


def _present(sample: Sequence[tuple[str | None, ...]], n: int) -> tuple[str, ...]:
    return tuple(row[n] for row in sample if row[n] is not None and row[n].strip() and row[n].strip() not in MISSING)  # type: ignore[misc,union-attr]


def _has_words(value: str) -> bool:
    """Whether there are letters, beside those of a date."""
    return any(character.isalpha() for character in _NOON.sub("", value))


def _parts(value: str) -> list[str]:
    return re.split(r"[,;|]", value)


def _short(value: str, length: int) -> str:
    value = " ".join(value.split())
    return value if len(value) <= length else value[: length - 1] + "…"
