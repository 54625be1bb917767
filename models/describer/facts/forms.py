"""One form of each word, so that "T-Shirts" and "tshirt", "Men's" and "men" are the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*%?")
"""A word of a text; hyphens, apostrophes and points inside belong to it."""


Forms = tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A word of a text: its form, and where it stands."""

    form: str
    start: int
    end: int


def tokens(text: str) -> Iterator[Token]:
    """The words of a text; a hyphen between words of its own makes one form of them."""
    for found in WORD.finditer(text):
        yield Token(form(found[0]), found.start(), found.end())


def forms(text: str) -> tuple[str, ...]:
    """The forms of a text's words."""
    return _forms(text)


@lru_cache(maxsize=65536)
def _forms(text: str) -> tuple[str, ...]:
    return tuple(token.form for token in tokens(text))


@lru_cache(maxsize=65536)
def form(word: str) -> str:
    """Of one word: folded, without hyphens, without a possessive or a plural ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("-", "").replace("'", "").rstrip("%")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("sses", "shes", "ches", "xes"):
        if word.endswith(ending):
            return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return _SAME.get(word, word)


_SAME = {"gray": "grey", "coloured": "colour", "colored": "colour", "color": "colour", "fibre": "fiber", "mens": "men"}


def within(part: tuple[str, ...], whole: tuple[str, ...]) -> int | None:
    """Where a run of forms stands in another; None where it does not."""
    for start in range(len(whole) - len(part) + 1):
        if whole[start : start + len(part)] == part:
            return start
    return None
