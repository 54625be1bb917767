"""Conditions that rows must meet: `quantity > 0`, `type in (simple, variable)`, `parent is missing`.

    condition = column operator value | column [not] in ( value, value … ) | column is missing | column is given
    operator  = > = != < >= <= >

A column with spaces may be quoted; so may a value. A value that is a number is compared as one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from catalog.errors import CatalogueError
from catalog.importing.sql import name, texts, trimmed

_OPERATOR = re.compile(r"(?P<sign><=|>=|!=|<>|==|=|<|>)|(?<=[\s\"'`])(?P<word>not\s+in|in|is)(?=[\s(])", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_QUOTES = "\"'`"
_SQL = {"==": "=", "<>": "!="}


@dataclass(frozen=True)
class Condition:
    """A row filter.

    Attributes:
        says: As the person wrote it.
        column: Of the file.
        sql: True where a row is kept, never null.
        unread: SQL that is true where the column's value is there and cannot be compared; None where all can.
    """

    says: str
    column: str
    sql: str
    unread: str | None = None


def parse(condition: str, columns: Sequence[str]) -> Condition:
    """Read a condition on `columns`.

    Raises:
        CatalogueError: it is none; names the position, 1 being the first character.
    """
    column, operator, start = _head(condition, columns)
    rest = condition[start:]
    value = trimmed(name(column))
    if operator == "is":
        word = rest.strip().lower()
        if word not in ("missing", "given"):
            raise _error(condition, start + 1, "missing or given is expected after is")
        return Condition(condition, column, f"{name(column)} IS {'' if word == 'missing' else 'NOT '}NULL")
    if operator in ("in", "not in"):
        listed = f"coalesce({_among(value, _list(condition, start))}, false)"
        return Condition(condition, column, listed if operator == "in" else f"NOT {listed}")
    wanted = _value(condition, start, len(condition))
    if operator in ("=", "!="):
        same = f"coalesce({_among(value, [wanted])}, false)"
        return Condition(condition, column, same if operator == "=" else f"NOT {same}")
    bound = _number(wanted)
    if bound is None:
        raise _error(condition, start + 1, f"a number is expected after {operator}")
    number = _as_number(value)
    sql = f"coalesce({number} {operator} {bound}, false)"
    return Condition(condition, column, sql, f"{name(column)} IS NOT NULL AND {number} IS NULL")


def _head(condition: str, columns: Sequence[str]) -> tuple[str, str, int]:
    """Column, operator and where the rest begins; without quotes the first operator after a known column counts."""
    lead = len(condition) - len(condition.lstrip())
    after, quoted = 0, None
    if condition[lead : lead + 1] and condition[lead] in _QUOTES:
        end = condition.find(condition[lead], lead + 1)
        if end < 0:
            raise _error(condition, lead + 1, "the quote is not closed")
        after, quoted = end + 1, condition[lead + 1 : end]
    found = list(_OPERATOR.finditer(condition, after))
    if not found or (quoted is not None and condition[after : found[0].start()].strip()):
        raise _error(condition, after + 1, "an operator is expected: =, !=, <, <=, >, >=, in, not in, is missing or is given")
    heads = [(condition[: match.start()].strip() if quoted is None else quoted, match) for match in found]
    column, match = next((head for head in heads if head[0] in columns), heads[0])
    if column not in columns:
        raise CatalogueError(f"where {condition!r} names column {column!r}; the file has: {', '.join(columns)}")
    operator = " ".join(match[0].lower().split())
    return column, _SQL.get(operator, operator), match.end()


def _list(condition: str, start: int) -> list[str]:
    opening = condition.find("(", start)
    if opening < 0 or condition[start:opening].strip():
        raise _error(condition, start + 1, "( is expected after in")
    values, at = [], opening + 1
    while True:
        end = _end_of_value(condition, at)
        if end >= len(condition):
            raise _error(condition, len(condition) + 1, ") is expected")
        values.append(_value(condition, at, end))
        at = end + 1
        if condition[end] == ")":
            break
    if condition[at:].strip():
        raise _error(condition, at + 1, "nothing is expected after )")
    return values


def _end_of_value(condition: str, start: int) -> int:
    """Position of the comma or bracket that ends a value of a list."""
    at = start + len(condition[start:]) - len(condition[start:].lstrip())
    if condition[at : at + 1] and condition[at] in _QUOTES:
        at = condition.find(condition[at], at + 1)
        if at < 0:
            raise _error(condition, start + 1, "the quote is not closed")
    ends = [end for mark in ",)" if (end := condition.find(mark, at)) >= 0]
    return min(ends, default=len(condition))


def _value(condition: str, start: int, end: int) -> str:
    value = condition[start:end].strip()
    if value and value[0] in _QUOTES:
        if len(value) < 2 or value.find(value[0], 1) != len(value) - 1:
            raise _error(condition, start + 1, "the quoted value must end at its quote")
        return value[1:-1].strip()
    if not value:
        raise _error(condition, start + 1, "a value is expected")
    return value


def _among(value: str, wanted: Sequence[str]) -> str:
    """SQL that is true where the text `value` is one of those, or the same number as one."""
    numbers = [number for one in wanted if (number := _number(one)) is not None]
    same = f"{value} IN {texts(wanted)}"
    return f"({same} OR coalesce({_as_number(value)} IN ({', '.join(numbers)}), false))" if numbers else f"({same})"


def _number(value: str) -> str | None:
    """A number as SQL; None where it is none."""
    return repr(float(value)) if _NUMBER.fullmatch(value) and isfinite(float(value)) else None


def _as_number(value: str) -> str:
    return f"nullif(TRY_CAST({value} AS DOUBLE), 'nan'::DOUBLE)"


def _error(condition: str, position: int, problem: str) -> CatalogueError:
    return CatalogueError(f"where {condition!r}, position {position}: {problem}")
