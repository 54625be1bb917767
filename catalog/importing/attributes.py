"""Attributes of a product, from whatever form an export has them in, to a JSON object as a string."""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from fnmatch import translate
from typing import Any

from catalog.errors import CatalogueError
from catalog.importing.mapping import PairMapping

_NUMBERED = "{n}"
_ENCODER = json.JSONEncoder(ensure_ascii=False)  # dumps() would make one a row


class NoAttributes(CatalogueError):
    """A cell holds attributes in no form that is known."""


def columns_like(patterns: Sequence[str], columns: Sequence[str], what: str) -> list[str]:
    """Columns that the patterns name, `*` standing for anything, each once and in the order of the file.

    Raises:
        CatalogueError: a pattern fits none.
    """
    found: set[str] = set()
    for pattern in patterns:
        if pattern in columns:
            found.add(pattern)
            continue
        expression = re.compile(translate(pattern.replace("[", "[[]"))) if "*" in pattern else None
        fitting = [column for column in columns if expression is not None and expression.fullmatch(column)]
        if not fitting:
            raise CatalogueError(f"{what} names {pattern!r}, which fits no column; the file has: {', '.join(columns)}")
        found.update(fitting)
    return [column for column in columns if column in found]


def numbered(pairs: Sequence[PairMapping], columns: Sequence[str], what: str) -> list[tuple[str, str]]:
    """Columns with name and value, `{n}` counted as far as the file has both.

    Raises:
        CatalogueError: the file has not even the first.
    """
    known, found = set(columns), []
    for pair in pairs:
        numbers = _numbers(pair, columns) if _NUMBERED in pair.name or _NUMBERED in pair.value else [""]
        named = [(pair.name.replace(_NUMBERED, n), pair.value.replace(_NUMBERED, n)) for n in numbers]
        there = [names for names in named if known.issuperset(names)]
        if not there:
            raise CatalogueError(
                f"{what} names {pair.name!r} and {pair.value!r}, which the file has not both; it has: {', '.join(columns)}"
            )
        found += there
    return found


def parse(text: str) -> dict[str, str]:
    """Names and values of one cell: a JSON object, a list of objects with name and value, or `a=b, c=d` and `a: b; c: d`.

    Raises:
        NoAttributes: it is none of these.
    """
    stripped = text.strip()
    found = _structured(stripped) if stripped[:1] in "{[" else _pairs(stripped)
    if found is None:
        raise NoAttributes(f"{text[:60]!r} is neither 'a=b, c=d' nor a JSON object")
    return found


def as_json(pairs: Iterable[tuple[str | None, str | None]]) -> str | None:
    """A JSON object; of two values for one name the first that says something counts. None without any."""
    kept: dict[str, str] = {}
    for name, value in pairs:
        if name and value and (name := name.strip()) and value.strip():
            kept.setdefault(name, value.strip())
    return _ENCODER.encode(kept) if kept else None


def _numbers(pair: PairMapping, columns: Sequence[str]) -> list[str]:
    pattern = re.compile(re.escape(pair.name).replace(re.escape(_NUMBERED), "([0-9]+)", 1).replace(re.escape(_NUMBERED), r"\1"))
    return [match[1] if pattern.groups else "" for column in columns if (match := pattern.fullmatch(column))]


def _structured(text: str) -> dict[str, str] | None:
    for attempt in (_json, _hash, ast.literal_eval):
        try:
            return _flat(attempt(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
    return None


def _json(text: str) -> Any:
    """Numbers keep their digits."""
    return json.loads(text, parse_float=str, parse_int=str)


def _hash(text: str) -> Any:
    """Ruby's way of writing an object: {"name"=>"value"}."""
    return _json(text.replace('"=>nil', '":null').replace('"=>', '":'))


def _flat(parsed: Any) -> dict[str, str] | None:
    """Names and values of an object, or of a list of objects with a name (key) and a value each."""
    if isinstance(parsed, dict):
        values = list(parsed.values())
        if len(values) == 1 and isinstance(values[0], list) and values[0] and all(isinstance(v, dict) for v in values[0]):
            return _flat(values[0])
        if any(isinstance(value, dict) for value in values):
            return None
        return {str(name): value for name, given in parsed.items() if (value := _said(given)) is not None}
    if not isinstance(parsed, list) or not all(isinstance(entry, dict) and "value" in entry for entry in parsed):
        return None
    named = [(entry.get("key") or entry.get("name"), _said(entry["value"])) for entry in parsed]
    return {str(name): value for name, value in named if name and value is not None}


def _said(value: Any) -> str | None:
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, list | tuple):
        return ", ".join(said for entry in value if (said := _said(entry)) is not None) or None
    return str(value)


def _pairs(text: str) -> dict[str, str] | None:
    separator = next((mark for mark in (";", "|", "\n") if mark in text), ",")
    pieces = [piece.strip() for piece in text.split(separator) if piece.strip()]
    if not pieces:
        return None
    mark = "=" if "=" in pieces[0] else ":"
    found: dict[str, str] = {}
    for piece in pieces:
        name, between, value = (part.strip() for part in piece.partition(mark))
        if not between and found and separator == ",":  # a comma inside a value
            found[next(reversed(found))] += f", {name}"
        elif not between or not name:
            return None
        elif value:
            found[name] = value
    return found or None
