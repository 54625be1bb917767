"""Products that the memory is made of, and how their values are read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.text import normalise

ATTRIBUTE = "attributes."
"""Before the name of a free attribute, where names of fields stand beside it."""
FINEST = CATEGORY_LEVELS[-1]
ENDS = ".,;:!?()[]\"'*<>|/"
"""Punctuation that is no part of a word at whose end it stands."""


@dataclass(frozen=True)
class Known:
    """A product of the catalogue, without its photo.

    Attributes:
        product_id: Its id.
        listing: What it says.
    """

    product_id: int | str
    listing: Listing

    @property
    def article_type(self) -> str | None:
        """As given."""
        return self.listing.categories.get(FINEST)


def pairs(listing: Listing) -> Iterator[tuple[str, str]]:
    """Name and value of each descriptive field and attribute that says something; names of attributes begin with `ATTRIBUTE`."""
    for name in CATEGORICAL_FIELDS:
        if value := listing.fields.get(name):
            yield name, value
    for name, value in listing.attributes.items():
        if short(value) not in _SAYS_NOTHING:
            yield f"{ATTRIBUTE}{name}", value


def with_pairs(listing: Listing, change: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Fields and attributes of a listing with changed values, by names as in `pairs`."""
    fields, attributes = dict(listing.fields), dict(listing.attributes)
    for name, value in change.items():
        if name.startswith(ATTRIBUTE):
            attributes[name.removeprefix(ATTRIBUTE)] = value
        else:
            fields[name] = value
    return fields, attributes


def reads(name: str) -> str:
    """The name as people read it: base_colour is "base colour", attributes.Fit is "Fit"."""
    return name.removeprefix(ATTRIBUTE) if name.startswith(ATTRIBUTE) else name.replace("_", " ")


@lru_cache(maxsize=65536)
def short(text: str) -> str:
    """One spelling of a name or value."""
    return normalise(text)


def words(text: str | None) -> list[str]:
    """Words of a text in one spelling, without punctuation at their ends."""
    return [word for raw in short(text or "").split() if (word := raw.strip(ENDS))]


def pieces(text: str | None) -> list[str]:
    """Words of a text; where a script sets no spaces between them, every two characters in a row."""
    found = []
    for word in words(text):
        runs = _UNSPACED.findall(word)
        found += [run[i : i + 2] for run in runs for i in range(len(run) - 1)] if runs else [word]
    return found


def length(text: str | None) -> int:
    """Words of a text; where a script sets no spaces, a word for every two characters, about as many as Chinese has."""
    return sum((sum(map(len, runs)) + 1) // 2 if (runs := _UNSPACED.findall(word)) else 1 for word in words(text))


def plain(word: str) -> str:
    """Without hyphens: t-shirt is tshirt."""
    return word.replace("-", "")


def singular(word: str) -> str:
    """Without an English plural's ending; good enough to compare two words."""
    word = plain(word)
    for ending in ("sses", "shes", "ches", "xes"):
        if word.endswith(ending):
            return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]{2,}")
"""Thai, Japanese and Chinese."""
_SAYS_NOTHING = frozenset({"", "na", "n/a", "none", "null", "-", "--", "nan", "not applicable", "unknown"})
