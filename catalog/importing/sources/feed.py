"""XML with a repeated element: Merchant feeds (RSS 2.0 and Atom), and any other.

A child becomes a column of its name (`title`, `g:price`); children of children are dotted (`g:shipping.g:price`), attributes have
an `@` (`@id`, `link.@href`), except that a child with a name, as in `<param name="Colour">red</param>`, is called `param.Colour`.
Repeated children are joined by commas; in a further language (`xml:lang`) they are a column of their own, `title.de`. HTML inside
an element (`<text><p>Soft</p></text>`) is its text, with the tags. Nothing is read from elsewhere: entities of one's own and
external ones are refused.
"""

import re
from collections import Counter
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import ParseError

import duckdb
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from catalog.errors import CatalogueError
from catalog.importing.mapping import ReadingMapping
from catalog.importing.source import Progress, Source
from catalog.importing.sources.opening import opened
from catalog.importing.sources.records import Records

PREFIXES = {
    "http://base.google.com/ns/1.0": "g",
    "http://base.google.com/cns/1.0": "c",
    "http://www.w3.org/XML/1998/namespace": "xml",
}
"""Prefixes that a namespace has whatever a file calls it."""

KNOWN = ("item", "entry", "offer", "product")
"""Elements that hold a record, even where there is one only."""

_HTML = re.compile("blockquote|br|div|em|h[1-6]|li|ol|p|span|strong|table|ul")
_IN_TEXT = re.compile(_HTML.pattern + "|a|abbr|b|font|i|img|s|small|sub|sup|u")  # may be anything else where no text precedes
_EMPTY = ("br", "hr", "img")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_LOOK = 1 << 22  # bytes in which the repeated element is looked for
_PIECE = 1 << 16  # bytes that are parsed at a time
_DEEPEST = 100  # elements in each other
_LONGEST = 1 << 24  # characters of one record


class _Target:
    """Hears of elements as they are parsed; the parser tells the line."""

    def __init__(self) -> None:
        self.parser: DefusedXMLParser | None = None
        self._prefixes: dict[str, str] = dict(PREFIXES)

    def start_ns(self, prefix: str, uri: str) -> None:
        self._prefixes.setdefault(uri, prefix)

    def name(self, tag: str) -> str:
        """The name with its prefix."""
        if not tag.startswith("{"):
            return tag
        uri, _, local = tag[1:].partition("}")
        prefix = self._prefixes.get(uri)
        return f"{prefix}:{local}" if prefix else local

    @property
    def line(self) -> int:
        assert self.parser is not None
        return int(self.parser.parser.CurrentLineNumber)

    def data(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Repeated(_Target):
    """Counts elements with children by where they stand."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.parents: set[tuple[str, ...]] = set()
        self._path: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.parents.add(tuple(self._path))
        self._path.append(self.name(tag))
        if len(self._path) > _DEEPEST:
            raise CatalogueError(f"line {self.line}: elements more than {_DEEPEST} deep in each other")
        self.counts[tuple(self._path)] += 1
        if attributes:
            self.parents.add(tuple(self._path))

    def end(self, tag: str) -> None:
        del tag
        self._path.pop()

    def record(self) -> str | None:
        """The outermost element that repeats or has a known name, and has parts; of several those, one of a known name."""
        paths = [path for path, count in self.counts.items() if path in self.parents and (count > 1 or path[-1] in KNOWN)]
        return min(paths, key=lambda path: (len(path), path[-1] not in KNOWN, -self.counts[path]))[-1] if paths else None


class _Reader(_Target):
    """Makes a record of each element of one name."""

    def __init__(self, element: str, records: Records) -> None:
        super().__init__()
        self._element, self._records = element, records
        self._row: dict[str, list[str]] = {}
        self._path: list[str] = []
        self._texts: list[list[str]] = []
        self._inside, self._begun, self._size = False, 0, 0
        self._markup: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self.name(tag)
        if not self._inside:
            if name == self._element:
                self._inside, self._begun, self._size = True, self.line, 0
                self._row, self._path, self._texts = {}, [], [[]]
                self._attributes(attributes)
            return
        if len(self._path) + len(self._markup) > _DEEPEST:
            raise CatalogueError(f"line {self.line}: elements more than {_DEEPEST} deep in each other")
        if self._markup or (self._path and _is_html(tag, bool("".join(self._texts[-1]).strip()))):
            self._markup.append(tag.rpartition("}")[2].lower())
            self.data(f"<{self._markup[-1]}{'/' * (self._markup[-1] in _EMPTY)}>")
            return
        by_name = attributes.pop("name", None)
        self._path.append(f"{name}.{by_name.strip()}" if by_name and by_name.strip() else name)
        if self._translates(attributes.get(_LANGUAGE)):
            self._path[-1] += f".{attributes.pop(_LANGUAGE)}"
        self._texts.append([])
        self._attributes(attributes)

    def data(self, text: str) -> None:
        if self._inside:
            self._texts[-1].append(text)
            self._size += len(text)
            if self._size > _LONGEST:
                raise CatalogueError(f"line {self._begun}: {self._element} of more than {_LONGEST >> 20} million characters")

    def end(self, tag: str) -> None:
        del tag
        if not self._inside:
            return
        if self._markup:
            closed = self._markup.pop()
            self.data("" if closed in _EMPTY else f"</{closed}>")
            return
        text = "".join(self._texts.pop()).strip()
        if text:
            self._row.setdefault(".".join(self._path) or "text", []).append(text)
        if self._path:
            self._path.pop()
        else:
            self._inside = False
            self._records.add(self._begun, {name: ",".join(values) for name, values in self._row.items()})

    def _translates(self, language: str | None) -> bool:
        """Whether the element says in another language what one of its name said before."""
        column = ".".join(self._path)
        before = self._row.get(f"{column}.@xml:lang", [])
        return bool(language and before and column in self._row) and language != before[0]

    def _attributes(self, attributes: dict[str, str]) -> None:
        for name, value in attributes.items():
            if value.strip():
                self._row.setdefault(".".join([*self._path, f"@{self.name(name)}"]), []).append(value.strip())


def _is_html(tag: str, in_text: bool) -> bool:
    """Whether a tag is one of HTML's, in its namespace or in none."""
    return tag.startswith(_XHTML) or (_IN_TEXT if in_text else _HTML).fullmatch(tag.lower()) is not None


def read_feed(path: Path, reading: ReadingMapping, connection: duckdb.DuckDBPyConnection, progress: Progress | None) -> Source:
    """The repeated elements of an XML file; a record's line is that of its first tag.

    Raises:
        CatalogueError: it is no well-formed XML, has entities of its own, or no element that repeats.
    """
    notes: list[str] = []
    element = reading.records
    if element is None:
        seen = _Repeated()
        with opened(path) as file:
            _parse(file, seen, reading, _LOOK)
        element = seen.record()
        if element is None:
            names = ", ".join(dict.fromkeys(path[-1] for path in seen.counts))
            raise CatalogueError(
                f"has no element that repeats and has parts; it has {names or 'none'}: say records in the mapping"
            )
        notes.append(f"each {element} is a record")
    records = Records(connection, progress, "records read")
    with opened(path) as file:
        _parse(file, _Reader(element, records), reading, None)
    return records.source(path, notes)


def _parse(file: IO[bytes], target: _Target, reading: ReadingMapping, most: int | None) -> None:
    """Parse all of the file, or as much as `most` bytes of it."""
    read = 0
    try:
        parser = DefusedXMLParser(target=target, encoding=reading.encoding)
        target.parser = parser
        while (most is None or read < most) and (piece := file.read(_PIECE)):
            parser.feed(piece)
            read += len(piece)
        if most is None or read < most:
            parser.close()
    except ParseError as error:
        raise CatalogueError(f"is no well-formed XML: {error}") from error
    except DefusedXmlException as error:
        raise CatalogueError(f"has entities of its own or from elsewhere, which are refused: {type(error).__name__}") from error
    except (LookupError, ValueError) as error:
        if isinstance(error, CatalogueError):
            raise
        raise CatalogueError(f"is in an encoding that is not known: {error}") from error
