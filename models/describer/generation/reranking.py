"""Which candidate is taken: one that states most of what is given, holds the keywords, is likely, and is unlike other texts."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from models.describer.answers import Fact, Sentence
from models.describer.config import GenerationConfig

WORD = re.compile(r"\w+")
BROKEN = re.compile(r"[a-z,] (?:A|An|The|It|Its|This|Made|Here) [a-z]|\b(?:is|of|in|with) *[^\w\s\"'(]|& ?[a-z]+ ?;?|& *$")
"""A sentence that begins again in its middle, a verb or preposition with nothing behind it, what is left of markup."""

DOUBLED = re.compile(r"\b(\w+) \1\b|(\w{2,})\2\2", re.IGNORECASE)
GRAM = 3
"""Words of the sequences by which texts are alike."""


@dataclass(frozen=True)
class Candidate:
    """A text that could be taken.

    Attributes:
        sentences: Those that state nothing but what is given.
        log_probability: Mean over its tokens, in nats.
        ended: Whether it ended by itself.
    """

    sentences: tuple[Sentence, ...]
    log_probability: float
    ended: bool

    @property
    def text(self) -> str:
        """Its sentences as one."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def facts(self) -> frozenset[Fact]:
        """What it states."""
        return frozenset(fact for sentence in self.sentences for fact in sentence.facts)


@dataclass(frozen=True)
class Aim:
    """What the candidates of a text are judged by.

    Attributes:
        facts: What should be stated.
        keywords: Words that should appear.
        recent: Texts to be unlike.
    """

    facts: frozenset[Fact]
    keywords: tuple[str, ...]
    recent: tuple[str, ...]


def best(candidates: Sequence[Candidate], aim: Aim, config: GenerationConfig) -> Candidate | None:
    """The candidate that costs least, the first of equal ones; None where none has a sentence."""
    told = [candidate for candidate in candidates if candidate.sentences]
    return min(told, key=lambda candidate: cost(candidate, aim, config), default=None)


def cost(candidate: Candidate, aim: Aim, config: GenerationConfig) -> float:
    """In nats; see `GenerationConfig`."""
    missing = len(aim.facts - candidate.facts) / max(1, len(aim.facts))
    unused = sum(not holds(candidate.text, keyword) for keyword in aim.keywords)
    return (
        -candidate.log_probability
        + config.missing * missing
        + config.unused_keyword * unused
        + config.alike * likeness(candidate.text, aim.recent)
        + config.unfinished * (not candidate.ended)
    )


def holds(text: str, keyword: str) -> bool:
    """Whether a text holds a keyword as whole words, in any case."""
    wanted = " ".join(WORD.findall(keyword.casefold()))
    return bool(wanted) and f" {wanted} " in f" {' '.join(WORD.findall(text.casefold()))} "


def likeness(text: str, others: Collection[str]) -> float:
    """The largest share of the text's trigrams of words that another text holds; 0 without others."""
    own = grams(text)
    return max((len(own & grams(other)) / max(1, len(own)) for other in others), default=0.0)


def grams(text: str) -> frozenset[tuple[str, ...]]:
    """Sequences of `GRAM` words, case-folded."""
    words = WORD.findall(text.casefold())
    return frozenset(tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))


def sound(text: str, least: int) -> bool:
    """Whether a sentence has so many words, none twice in a row, no part of a word thrice, and no second sentence begun in it."""
    return len(WORD.findall(text)) >= least and DOUBLED.search(text) is None and BROKEN.search(text) is None
