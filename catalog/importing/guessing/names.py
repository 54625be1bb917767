"""What the name of a column means, in the languages of exports."""

import re
import unicodedata
from functools import cache
from pathlib import Path

import yaml

SURE = 90.0
"""Of a meaning: the name is one of the words for it, not one that holds such a word."""

_WHOLE = 100.0
_SHORTEST = 4  # characters of a word that may stand inside a longer name: "art" and "id" stand in too many


@cache
def words() -> dict[str, tuple[str, ...]]:
    """Names by what they mean, as `plain` makes them."""
    loaded = yaml.safe_load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"))
    return {meaning: tuple(plain(str(word)) for word in names) for meaning, names in loaded.items()}


def plain(name: str) -> str:
    """A name in lower case without accents, marks and prefix, its words apart: "g:imageLink" is "image link"."""
    name = re.sub(r"^[a-z]{1,3}:", "", name)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    letters = unicodedata.normalize("NFKD", name.casefold().replace("ß", "s").replace("ø", "o").replace("ł", "l"))
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.sub(r"[^\w]|_", " ", unicodedata.normalize("NFKC", bare)).split())


def squashed(name: str) -> str:
    """A name without anything but letters and digits."""
    return plain(name).replace(" ", "")


def meant(name: str, meaning: str) -> float:
    """How surely a column of this name has this meaning; 0: not at all."""
    own = plain(name)
    tokens = f" {own} "
    for rank, word in enumerate(words()[meaning]):
        if own == word or own.replace(" ", "") == word.replace(" ", ""):
            return _WHOLE - rank * 0.1
    inside = [word for word in words()[meaning] if (f" {word} " in tokens if word.isascii() else word in own)]
    long_enough = [len(word) for word in inside if len(word) >= _SHORTEST or not word.isascii()]
    return _WHOLE * max(long_enough, default=0) / (2 * max(len(own), 1))
