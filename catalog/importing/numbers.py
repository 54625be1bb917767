"""Numbers as shops write them: which mark is which is declared, or found where all values of a column agree.

A value is first reduced to its shape, every digit a 9: a column of a million prices has a few hundred shapes. What a shape may
mean is decided in Python, and a column is then read by one SQL expression for the form that was found.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from catalog.errors import CatalogueError
from catalog.importing.currencies import TOKEN, currencies, tokens
from catalog.importing.sql import text, trimmed

DECIMALS = (".", ",")
"""Marks that may stand before the fraction."""

_SPACE_LIKE = {"\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " "}
_SAME = {**_SPACE_LIKE, "’": "'", "ʼ": "'", "−": "-", "٫": ".", "٬": ","}
_PLAIN = {ord(mark): plain for mark, plain in _SAME.items()}
_AMOUNT = re.compile(rf"([+-]?)\s*({TOKEN})?\s*([+-]?)([0-9., ']*[0-9.,])([eE][+-]?[0-9]{{1,3}})?\s*({TOKEN})?")
_FRACTION = re.compile(r"[0-9]*([.,])[0-9]*")


@dataclass(frozen=True)
class NumberForm:
    """How the numbers of a column are written.

    Attributes:
        decimal: Mark before the fraction; None where none was seen.
        thousands: Marks between groups of three digits.
        currency: ISO code that amounts are in; None where they say none.
    """

    decimal: str | None = None
    thousands: tuple[str, ...] = ()
    currency: str | None = None

    @property
    def plain(self) -> bool:
        """Whether it is the form of programs: 1234.5."""
        return self.decimal in (None, ".") and not self.thousands

    @property
    def fraction(self) -> str:
        """The mark that a fraction would follow."""
        return self.decimal or next((mark for mark in DECIMALS if mark not in self.thousands), DECIMALS[0])

    @property
    def example(self) -> str:
        """1,234.50 as this form writes it."""
        return f"1{(self.thousands or ('',))[0]}234{self.fraction}50"

    @cached_property
    def pattern(self) -> str:
        """RE2 pattern of a number of this form, without sign, currency and spaces."""
        groups = [rf"[1-9][0-9]{{0,2}}(?:{_escaped(mark)}[0-9]{{3}})+" for mark in self.thousands]
        groups += [rf"[1-9][0-9]?(?:{_escaped(mark)}[0-9]{{2}})+{_escaped(mark)}[0-9]{{3}}" for mark in self.thousands]
        whole, decimal = "|".join([*groups, "[0-9]+"]), _escaped(self.fraction)
        return rf"[+-]?(?:(?:{whole})(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"

    def expression(self, value: str) -> str:
        """SQL that reads the text expression `value` as a DOUBLE; null where it is no number of this form."""
        core = _cleaned(value, self.currency)
        digits = f"translate({core}, {text(''.join(self.thousands))}, '')" if self.thousands else core
        digits = f"replace({digits}, {text(self.fraction)}, '.')" if self.fraction != "." else digits
        number = f"TRY_CAST({digits} AS DOUBLE)"
        return f"(CASE WHEN regexp_full_match({core}, {text(self.pattern)}) AND isfinite({number}) THEN {number} END)"


@dataclass(frozen=True)
class Reading:
    """One meaning of a value: its marks, None where it has none."""

    decimal: str | None = None
    thousands: str | None = None


@dataclass(frozen=True)
class Amount:
    """A value taken apart: `digits` with their marks, and the currency token beside them."""

    digits: str
    exponent: bool
    token: str | None


@dataclass(frozen=True)
class Seen:
    """A shape of a column, with the first value of it and its line."""

    value: str
    line: int
    rows: int = 1


def shape_of(value: str) -> str:
    """SQL that reduces the text expression `value` to its shape."""
    return f"regexp_replace({trimmed(value)}, '[0-9]', '9', 'g')"


def amount(value: str) -> Amount | None:
    """The parts of a value; None where it is no number of any form, or names two currencies."""
    match = _AMOUNT.fullmatch(_plain(value))
    if match is None or (match[1] and match[3]) or not any(c.isdigit() for c in match[4]):
        return None
    if match[2] and match[6] and not set(currencies(match[2])) & set(currencies(match[6])):
        return None
    return Amount(match[4], match[5] is not None, match[2] or match[6])


def readings(found: Amount) -> tuple[Reading, ...]:
    """What the marks of a value may mean; none where its groups are not of three digits."""
    marks = [c for c in found.digits if not c.isdigit()]
    if not marks:
        return (Reading(),)
    kinds = list(dict.fromkeys(marks))
    possible = [Reading(None, kinds[0])] if len(kinds) == 1 else []
    if kinds[-1] in DECIMALS and marks.count(kinds[-1]) == 1 and len(kinds) <= 2:
        possible.append(Reading(kinds[-1], kinds[0] if len(kinds) == 2 else None))
    return tuple(reading for reading in possible if _fits(found, reading))


def declared(readable: Iterable[Reading], decimal: str | None, thousands: str | None) -> tuple[Reading, ...]:
    """Those that a person's word on the marks leaves."""
    decimal, thousands = _same(decimal), _same(thousands)
    return tuple(
        reading
        for reading in readable
        if (decimal is None or (reading.decimal in (None, decimal) and reading.thousands != decimal))
        and (thousands is None or (reading.thousands in (None, thousands) and reading.decimal != thousands))
    )


def find_form(seen: Sequence[Seen], decimal: str | None, thousands: str | None, currency: str | None, where: str) -> NumberForm:
    """The one form of a column.

    Args:
        seen: Its shapes.
        decimal: Mark that the mapping declares, and so `thousands`; None where it does not.
        currency: ISO code of the amounts that count; those that name another are passed over.
        where: File and column, for the message.

    Raises:
        CatalogueError: two values contradict each other, or all that is known is 1.299, which has two meanings; names lines,
            values, and what to set.
    """
    sure: dict[tuple[str, str], Seen] = {}
    doubtful: dict[str, Seen] = {}
    for example in seen:
        found = amount(example.value)
        if found is None or (currency and found.token and currency not in currencies(found.token)):
            continue
        left = declared(readings(found), decimal, thousands)
        if len(left) > 1:
            doubtful.setdefault(next(c for c in found.digits if not c.isdigit()), example)
        for role in ("decimal", "thousands") if len(left) == 1 else ():
            if mark := getattr(left[0], role):
                sure.setdefault((role, mark), example)
    return _agreed(sure, doubtful, NumberForm(_same(decimal), (_same(thousands) or "",) if thousands else (), currency), where)


def currency_of(seen: Sequence[Seen], where: str) -> str | None:
    """The one currency that a column names; None where it names none.

    Raises:
        CatalogueError: it names two; says line and value of each.
    """
    possible: tuple[str, ...] = ()
    first: Seen | None = None
    for example in seen:
        found = amount(example.value)
        if found is None or found.token is None:
            continue
        named = currencies(found.token)
        both = tuple(code for code in possible or named if code in named)
        if first is not None and not both:
            raise CatalogueError(
                f"{where}: line {first.line}: {first.value!r} is in {possible[0]} and line {example.line}: {example.value!r} in "
                f"{named[0]}; set currency in the mapping to keep one, rows in another are then quarantined"
            )
        possible, first = both, first or example
    return possible[0] if possible else None


def explain(value: str, form: NumberForm, whole: bool) -> str:
    """Why a value is no number of a form."""
    found = amount(value)
    if found is None:
        return f"{value!r} is no number"
    if form.currency and found.token and form.currency not in currencies(found.token):
        return f"{value!r} is in {currencies(found.token)[0]}, not in {form.currency}"
    possible = readings(found)
    marks = [mark for mark in form.thousands if mark in found.digits]
    if not any(r.thousands in (None, *form.thousands) and r.decimal in (None, form.fraction) for r in possible):
        if marks and not any(r.thousands for r in possible):
            return f"{value!r} has no groups of three digits between {marks[0]!r}"
        return f"{value!r} is no number of the form {form.example}"
    return f"{value!r} is no whole number" if whole else f"{value!r} is no number of the form {form.example}"


def groups(shapes: Mapping[str, Seen]) -> list[Seen]:
    """Examples in the order of their lines, so that messages name the first."""
    return sorted(shapes.values(), key=lambda example: example.line)


def _agreed(sure: Mapping[tuple[str, str], Seen], doubtful: Mapping[str, Seen], form: NumberForm, where: str) -> NumberForm:
    decimals = {mark: example for (role, mark), example in sure.items() if role == "decimal"}
    thousands = {mark: example for (role, mark), example in sure.items() if role == "thousands"}
    for mark, example in decimals.items():
        others = [*(seen for other, seen in decimals.items() if other != mark), *([thousands[mark]] if mark in thousands else [])]
        if others:
            raise _contradiction(example, others[0], where)
    if all(mark in thousands for mark in DECIMALS):
        raise _contradiction(thousands["."], thousands[","], where)
    for mark, example in doubtful.items():
        if mark in thousands:
            continue
        if decimals:
            fraction, other = next(iter(decimals.items()))
            raise _contradiction(example, other, where, fraction, mark)
        second = "," if mark == "." else "."
        raise CatalogueError(
            f"{where}: line {example.line}: {example.value!r} may be a thousand or a fraction, and no other value tells which; "
            f'set decimal: "{second}" and thousands: "{mark}" in the mapping, or decimal: "{mark}"'
        )
    marks = tuple(dict.fromkeys([*form.thousands, *thousands]))
    return NumberForm(form.decimal or next(iter(decimals), None), marks, form.currency)


def _contradiction(one: Seen, other: Seen, where: str, decimal: str = ",", thousands: str = ".") -> CatalogueError:
    first, second = sorted((one, other), key=lambda example: example.line)
    grouped = f' and thousands: "{thousands}"' if thousands != decimal else ""
    return CatalogueError(
        f"{where}: line {first.line}: {first.value!r} and line {second.line}: {second.value!r} do not agree on one form of "
        f'numbers; set decimal and thousands in the mapping, such as decimal: "{decimal}"{grouped}'
    )


def _fits(found: Amount, reading: Reading) -> bool:
    """Whether the digits can be read so: groups of three (or, as in India, of two before the last), one fraction."""
    if reading.decimal is not None and reading.thousands is None:
        return _FRACTION.fullmatch(found.digits) is not None and found.digits != reading.decimal
    if found.exponent:
        return False
    form = NumberForm(reading.decimal, (reading.thousands or "",))
    return re.fullmatch(form.pattern, found.digits) is not None


def _cleaned(value: str, currency: str | None) -> str:
    """SQL for the digits with their sign and marks; what names another currency keeps its sign, and so is no number."""
    old, new = "".join(_SAME), "".join(_SAME.values())
    plain = f"translate({trimmed(value)}, {text(old)}, {text(new)})"
    token = TOKEN if currency is None else tokens(currency)
    head, tail = text(rf"^([+-]?)\s*(?:{token})\s*"), text(rf"\s*(?:{token})$")
    return f"regexp_replace(regexp_replace({plain}, {head}, '\\1'), {tail}, '')"


def _plain(value: str) -> str:
    return value.translate(_PLAIN).strip()


def _same(mark: str | None) -> str | None:
    return None if mark is None else _SAME.get(mark, mark)


def _escaped(mark: str) -> str:
    return re.escape(mark)
