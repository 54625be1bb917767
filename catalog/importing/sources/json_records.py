"""JSON: a record a line, an array of records, or a list of records at a path inside one object.

Nested objects become dotted columns (`price.amount`). Lists of plain values are joined by commas, as tags and photos are in other
exports; lists of objects stay JSON text. Numbers keep their digits (4.50, ids of twenty digits), because they are never read as
numbers: DuckDB's JSON reader would.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import Progress, Source
from catalog.importing.sources.encoding import decoded, encoding_of
from catalog.importing.sources.lines import Lines
from catalog.importing.sources.opening import opened
from catalog.importing.sources.records import Records

LARGEST = 1 << 24
"""Characters of one value inside an array or on the way to one."""

LARGEST_FILE = 1 << 28
"""Characters of a file that is one object without a stated path, which is held in memory to find the list of records."""

_DEEPEST = 20  # objects in each other
_FIRST_LINES = 5  # of which one must be a record for a file to have a record a line
_SHOWN = 3  # names that a message shows
_SPACE = " \t\r\n"


class _Number(str):
    """Digits as they stand in the file."""


class _Object(dict[str, Any]):
    """An object that names something twice."""

    twice = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    marked = _Object(found)
    marked.twice = next(name for name in names if names.count(name) > 1)
    return marked


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_Number, parse_int=_Number, parse_constant=_Number)


def read_json(path: Path, reading: ReadingMapping, connection: duckdb.DuckDBPyConnection, progress: Progress | None) -> Source:
    """The records of a JSON file.

    Raises:
        CatalogueError: it is empty, no JSON, or has no list of records where `records` says.
    """
    records = Records(connection, progress, "records read")
    notes: list[str] = []
    with opened(path) as file:
        encoding = encoding_of(file, reading.encoding)
    with opened(path) as file:
        pieces = decoded(file, encoding)
        first = next((piece for piece in pieces if piece.strip(_SPACE)), "")
        if not first:
            raise CatalogueError("is empty; it must hold JSON records")
        text = chain([first], pieces)
        if reading.records is None and not first.lstrip(_SPACE).startswith("[") and _a_line_each(first):
            _add_lines(Lines(text), records)
        else:
            _add_list(text, first, reading.records, records, notes)
    return records.source(path, notes)


def flat(record: dict[str, Any]) -> dict[str, str | None]:
    """A record as columns of text.

    Raises:
        ValueError: two values would stand in one column, or objects lie too deep in each other.
    """
    row: dict[str, str | None] = {}
    for name, value in _leaves(record, "", 0):
        if name in row:
            raise ValueError(f"names {name!r} twice")
        row[name] = value
    return row


def _leaves(value: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, str | None]]:
    if depth > _DEEPEST:
        raise ValueError(f"has objects more than {_DEEPEST} deep in each other")
    if isinstance(value, _Object):
        raise ValueError(f"names {value.twice!r} twice")
    for key, inner in value.items():
        name = before + key
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{name}.", depth + 1)
        elif isinstance(inner, list) and any(isinstance(item, dict | list) for item in inner):
            yield name, _json(inner)
        elif isinstance(inner, list):
            yield name, ",".join(filter(None, map(_plain, inner)))
        else:
            yield name, _plain(inner)


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(value: Any) -> str:
    """JSON text with the digits of the file."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_json(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _a_line_each(first: str) -> bool:
    """Whether the file has a record a line: one of its first lines is one, and it is not the only line."""
    lines = [line for line in first.split("\n") if line.strip(_SPACE)]
    return len(lines) > 1 and any(isinstance(_value(line), dict) for line in lines[:_FIRST_LINES])


def _value(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _add_lines(lines: Lines, records: Records) -> None:
    for block in lines.blocks():
        for n, line in enumerate(block, lines.number + 1):
            if not line.strip(_SPACE):
                continue
            try:
                _add(n, _DECODER.decode(line), line, records)
            except json.JSONDecodeError as error:
                records.refuse(n, f"is no JSON: {error.msg} at character {error.pos + 1}", line)
            except RecursionError:
                records.refuse(n, "has too many brackets in each other", line)


def _add(line: int, record: Any, text: str, records: Records) -> None:
    if not isinstance(record, dict):
        records.refuse(line, "is no object with names and values", text)
        return
    try:
        records.add(line, flat(record))
    except ValueError as error:
        records.refuse(line, str(error), text)


def _add_list(text: Iterable[str], first: str, said: str | None, records: Records, notes: list[str]) -> None:
    """Records of an array, of the list at the path `said`, or of the list that is found."""
    path = () if said is None else tuple(said.split("."))
    if said is None and not first.lstrip(_SPACE).startswith("["):
        whole = _whole(text)
        value = _Cursor(iter([whole])).value()[1]
        if (instead := _no_list(value)) is not None:
            raise CatalogueError(
                f"is one object {instead}; it must hold a list of records, or a record a line; or say records in the mapping"
            )
        found = _path(value)
        if found is None:
            _add(1, value, whole, records)
            return
        path, text = found, [whole]
        notes.append(f"records found in {'.'.join(path)}")
    cursor = _Cursor(iter(text))
    cursor.enter(path)
    for line, record, shown in cursor.elements():
        _add(line, record, shown, records)
    if not path and cursor.mark():
        raise CatalogueError(f"line {cursor.line}: something follows the array of records")


def _whole(text: Iterable[str]) -> str:
    parts, size = [], 0
    for piece in text:
        parts.append(piece)
        size += len(piece)
        if size > LARGEST_FILE:
            raise CatalogueError(
                f"is one object of more than {LARGEST_FILE >> 20} million characters; say records in the mapping"
            )
    return "".join(parts)


def _no_list(value: Any) -> str | None:
    """What an object of several records is made of where they are no list: columns, or records by their ids; else None."""
    if not isinstance(value, dict) or len(value) < 2:
        return None
    inner = list(value.values())
    if all(isinstance(part, list) and len(part) > 1 for part in inner) and len(set(map(len, inner))) == 1:
        records = any(isinstance(item, dict) for part in inner for item in part)
        return None if records else f"with a list for each of {_named(value)}"
    if all(isinstance(part, dict) and part for part in inner) and (len(inner) > 2 or _path(value) is None):
        shared, names = set.intersection(*map(set, inner)), set.union(*map(set, inner))
        return f"with an object for each of {_named(value)}" if len(shared) * 2 > len(names) else None
    return None


def _named(value: dict[str, Any]) -> str:
    names = list(value)
    return ", ".join(map(repr, names[:_SHOWN])) + (" …" if len(names) > _SHOWN else "")


def _path(value: Any) -> tuple[str, ...] | None:
    """Where the longest list of objects lies; the way through lists is not taken."""
    lists: list[tuple[int, tuple[str, ...]]] = []

    def look(inner: Any, path: tuple[str, ...]) -> None:
        if isinstance(inner, dict) and len(path) < _DEEPEST:
            for key, further in inner.items():
                look(further, (*path, key))
        elif isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            lists.append((len(inner), path))

    look(value, ())
    return max(lists, key=lambda found: found[0])[1] if lists else None


class _Cursor:
    """A place in a JSON text of which only a part is in memory.

    Attributes:
        line: Of the place.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self.line = 1
        self._pieces, self._text, self._at = pieces, "", 0

    def mark(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._go(self._at + 1)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self, mark: str) -> None:
        """Pass over `mark`, which must come next."""
        if self.mark() != mark:
            raise CatalogueError(f"line {self.line}: {mark!r} was expected; the file is no JSON, or was cut off")
        self._go(self._at + 1)

    def value(self) -> tuple[int, Any, str]:
        """The next value, with its line and its text."""
        self.mark()
        line = self.line
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LARGEST or not self._more():
                    raise CatalogueError(f"line {line}: no JSON, or cut off: {error.msg}") from error
            except RecursionError as error:
                raise CatalogueError(f"line {line}: too many brackets in each other") from error
            else:
                if end == len(self._text) and self._more():
                    continue
                text = self._text[self._at : min(end, self._at + LARGEST)]
                self._go(end)
                return line, value, text

    def enter(self, path: tuple[str, ...]) -> None:
        """Go to the value at `path`.

        Raises:
            CatalogueError: there is none.
        """
        for n, name in enumerate(path):
            if self.mark() != "{":
                raise CatalogueError(f"has nothing at {'.'.join(path[: n + 1])!r}; records must be the dotted path of a list")
            self.skip("{")
            while self.mark() == '"':
                key = self.value()[1]
                self.skip(":")
                if key == name:
                    break
                self.value()
                if self.mark() == ",":
                    self.skip(",")
            else:
                raise CatalogueError(f"has nothing at {'.'.join(path[: n + 1])!r}; records must be the dotted path of a list")

    def elements(self) -> Iterator[tuple[int, Any, str]]:
        """The elements of the list that comes next, with their lines and texts."""
        if self.mark() != "[":
            raise CatalogueError(f"line {self.line}: no list of records")
        self.skip("[")
        while self.mark() != "]":
            yield self.value()
            if self.mark() != "]":
                self.skip(",")
        self.skip("]")

    def _go(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        piece = next(self._pieces, "")
        while not piece:
            following = next(self._pieces, None)
            if following is None:
                return False
            piece = following
        self._text, self._at = self._text[self._at :] + piece, 0
        return True
