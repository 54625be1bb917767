"""Texts within limits of characters, ended at a word or a sentence."""

import re
from collections.abc import Sequence

ARTICLES, PREPOSITIONS = (
    ("a", "an", "the", "its", "your", "this", "that"),
    ("at", "by", "for", "from", "in", "of", "on", "to", "with"),
)
HANGING = frozenset([*ARTICLES, *PREPOSITIONS, "and", "or", "as", "is", "are", "made"])
"""Words that no title ends with."""

TRAILING = re.compile(r"[\s,;:|/&(\-–]+$")


def cut_title(text: str, most: int) -> str:
    """The text, or as many whole words as `most` characters hold, without words and marks that ask for more.

    A first word that is longer is cut between characters: it is no word, or of a script that writes none apart.
    """
    if len(text) <= most:
        return text
    words = text[: most + 1].split()[:-1] if not text[most].isspace() else text[:most].split()
    while words and TRAILING.sub("", words[-1]).casefold() in HANGING | {""}:
        words.pop()
    return TRAILING.sub("", " ".join(words)) or text[:most]


def whole_sentences(sentences: Sequence[str], most: int) -> int:
    """How many of the first sentences `most` characters hold, joined by spaces."""
    length = -1
    for count, sentence in enumerate(sentences):
        length += 1 + len(sentence)
        if length > most:
            return count
    return len(sentences)
