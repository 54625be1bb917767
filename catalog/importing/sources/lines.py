"""The lines of a text, numbered as an editor numbers them, whatever ends them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from catalog.errors import CatalogueError
from catalog.importing.source import Progress
from catalog.importing.sources.encoding import UNREADABLE, misdecoded, repaired

NUMBER = "\ufdd0"
"""Stands before the number that each line is given; a noncharacter, which no text holds."""

RETURN = "\ufdd1"
"""Stands for a carriage return, or in a file whose lines end with those for a line feed, inside a line."""

SHORTENED = 200
"""Characters of a row that a misfit shows."""

LONGEST = 1 << 24
"""Characters of a line; a file with a longer one is no table."""

_SAMPLE = 1 << 18  # characters that are looked at to know what ends a line, and how values are separated
_CONTROL = re.compile("[\x00-\x08\x0e-\x19\x1b-\x1f]")
_BINARY = 0.1  # share of control characters above which a file is no text; one NUL in a file of two lines is below
_OURS = re.compile(f"[{NUMBER}{RETURN}]")


@dataclass
class Seen:
    """What was met in a text while its lines were read.

    Attributes:
        unreadable: Whether a character stands for bytes that the encoding does not have, or is NUL.
        misdecoded: Lines with text that had gone through a wrong encoding.
        example: The first such line's number, and the part.
    """

    unreadable: bool = False
    misdecoded: int = 0
    example: tuple[int, str] | None = None


def told(seen: Seen) -> list[str]:
    """What must be said of the text."""
    if seen.example is None:
        return []
    line, part = seen.example
    return [
        f"{seen.misdecoded} line{'s' * (seen.misdecoded > 1)} with text that was read in a wrong encoding before it came here, "
        f"such as {part!r} for {repaired(part)!r} in line {line}; was the file opened and saved in the wrong encoding?"
    ]


@dataclass
class Lines:
    """Lines of a text, without what ends them, each once; `sample` looks ahead."""

    pieces: Iterator[str]
    progress: Progress | None = None
    number: int = 0
    seen: Seen = field(default_factory=Seen)
    _ahead: list[str] = field(default_factory=list)
    _returns: bool = False

    def __post_init__(self) -> None:
        """Look at the first characters: what ends a line."""
        first = ""
        for piece in self.pieces:
            first += piece
            if len(first) >= _SAMPLE:
                break
        part = first[:_SAMPLE]
        if len(_CONTROL.findall(part)) > _BINARY * len(part):
            raise CatalogueError(
                "is no text, and no other kind of file that is known here: delimited text, JSON, XML, spreadsheets"
            )
        lone, feed = re.search("\r(?!\n)", part), part.find("\n")
        self._returns = lone is not None and lone.end() < len(part) + (feed < 0) and (feed < 0 or lone.start() < feed)
        if self._returns and feed >= 0:
            self._returns = len(re.findall("\r(?!\n)", part)) > part.count("\n")
        self.pieces = _chained(first, self.pieces)
        self._more = self._blocks()

    def sample(self) -> list[str]:
        """The lines that come next, some hundred kilobytes of them."""
        while sum(map(len, self._ahead)) < _SAMPLE:
            block = next(self._more, None)
            if block is None:
                break
            self._ahead.extend(block)
        return self._ahead

    def take(self) -> str | None:
        """The next line."""
        if not self._ahead:
            self._ahead = next(self._more, [])
        if not self._ahead:
            return None
        self.number += 1
        return self._ahead.pop(0)

    def blocks(self) -> Iterator[list[str]]:
        """All further lines, some thousand at a time; the first has the number after `number`."""
        if self._ahead:
            block, self._ahead = self._ahead, []
            yield block
            self.number += len(block)
        for block in self._more:
            yield block
            self.number += len(block)

    def _blocks(self) -> Iterator[list[str]]:
        rest, held, line = "", "", 1  # the line that goes on, divided already: its marks are ours; a return that may end it
        for piece in self.pieces:
            text = held + piece
            held = "\r" if text.endswith("\r") else ""
            *block, end = self._divided(text.removesuffix("\r"))
            if block:
                block[0], rest = rest + block[0], ""
            rest += end
            if len(rest) > LONGEST:
                raise CatalogueError(
                    f"line {line + len(block)} is longer than {LONGEST >> 20} million characters; this is no table"
                )
            if block:
                self._look(block, line)
                yield block
                line += len(block)
        block = self._divided(held)
        block[0] = rest + block[0]
        if block[-1] == "":
            block.pop()
        if block:
            self._look(block, line)
            yield block

    def _divided(self, text: str) -> list[str]:
        """Lines of `text`, and what follows the last line end."""
        if not text.isascii():
            text = _OURS.sub(UNREADABLE, text)
        if "\r" in text or self._returns:
            ends = "\r" if self._returns else "\n"
            text = text.replace("\r\n", ends).replace("\n" if self._returns else "\r", RETURN).replace(ends, "\n")
        return text.split("\n")

    def _look(self, block: list[str], first: int) -> None:
        """Note in `seen` what the lines hold that must be told."""
        text = "\n".join(block)
        self.seen.unreadable = self.seen.unreadable or UNREADABLE in text or "\0" in text
        if not text.isascii() and misdecoded(text) is not None:
            for number, line in enumerate(block, first):
                if (part := misdecoded(line)) is not None:
                    self.seen.misdecoded += 1
                    self.seen.example = self.seen.example or (number, part)
        if self.progress is not None:
            self.progress("lines read", first + len(block) - 1, None)


def _chained(first: str, pieces: Iterable[str]) -> Iterator[str]:
    if first:
        yield first
    yield from pieces
