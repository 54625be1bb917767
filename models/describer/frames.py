"""Behind which words a fact of each name is copied: a material behind "made of", and a dial's shape never.

A frame is the last two words before a slot in a text that was trained on, another slot or the sentence's start counting as one. A
fact whose name has few of its own may stand in frames that facts of many names have, and behind its own name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from models.describer.answers import Fact
from models.describer.generation.constraint import START, VALUE, WORD, Frame

GENERAL = 4
"""Names that a frame must have been seen with before facts of any name may stand in it."""

KNOWN = 20
"""Copies of facts of a name from which its own frames are enough."""


class Frames:
    """Frames by the names of facts."""

    def __init__(self, held: Mapping[str, Iterable[Frame]], copies: Mapping[str, int]) -> None:
        """`copies`: how often facts of a name were copied."""
        self.held = {name: frozenset(frames) for name, frames in held.items()}
        self.copies = dict(copies)

    @classmethod
    def fit(cls, sentences: Iterable[Sequence[str | Fact]]) -> Self:
        """From sentences as texts and copied facts."""
        held: dict[str, set[Frame]] = defaultdict(set)
        copies: Counter[str] = Counter()
        for pieces in sentences:
            words = [START, START]
            for piece in pieces:
                if isinstance(piece, Fact):
                    held[piece.name].add((words[-2], words[-1]))
                    copies[piece.name] += 1
                    words.append(VALUE)
                else:
                    words += WORD.findall(piece.casefold())
        return cls(held, copies)

    def of(self, name: str) -> frozenset[Frame]:
        """Frames in which a fact of this name may stand."""
        own = self.held.get(name, frozenset())
        if self.copies.get(name, 0) >= KNOWN:
            return own
        words = WORD.findall(name.casefold())
        called = (
            {(words[-1], link) for link in ("is", "of", "in")} | {((START, START, *words)[-2], words[-1])} if words else set()
        )
        return own | self._general | called

    @cached_property
    def _general(self) -> frozenset[Frame]:
        counts = Counter(frame for frames in self.held.values() for frame in frames)
        return frozenset(frame for frame, count in counts.items() if count >= GENERAL)

    def state(self) -> dict[str, Any]:
        """JSON that `restore` reads."""
        frames = {name: sorted(" ".join(frame) for frame in frames) for name, frames in self.held.items()}
        return {"frames": frames, "copies": self.copies}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` gave.

        Raises:
            KeyError, ValueError: something is missing, or no frame.
        """
        held = {name: {_frame(text) for text in texts} for name, texts in state["frames"].items()}
        return cls(held, state["copies"])


def _frame(text: str) -> Frame:
    first, second = text.split(" ")
    return first, second
