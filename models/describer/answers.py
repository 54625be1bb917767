"""What the describer is asked and says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from catalog.listing import Listing

Tone = Literal["neutral", "friendly", "premium", "playful"]
TONES: tuple[Tone, ...] = get_args(Tone)

MAX_TITLE, MAX_META = 60, 155
"""Characters of an SEO title and a meta description that search engines show."""


@dataclass(frozen=True)
class Fact:
    """A value that the listing gives.

    Attributes:
        name: Field, category level or attribute, such as brand, article_type, "Sleeve Length"; title for words of it.
        value: As the listing gives it.
    """

    name: str
    value: str


@dataclass(frozen=True)
class Brief:
    """What is to be described, and how.

    Attributes:
        listing: What is known; its description is not read.
        audience: For whom, such as "women"; it never becomes a fact.
        tone: How it should sound.
        keywords: Words that should appear, where they are true.
        recent: The last texts written for this type, to be unlike.
        seed: Draws candidates; the same brief with the same seed gives the same texts.
    """

    listing: Listing
    audience: str | None = None
    tone: Tone = "neutral"
    keywords: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the facts that it rests on; none where it states no value.

    Attributes:
        text: The sentence.
        facts: In the order in which they are stated.
    """

    text: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Keyword:
    """What became of a keyword that was asked for.

    Attributes:
        keyword: As asked.
        used: Whether the texts hold it.
        why: Why not: it states a value that is not given, contradicts one, or no sentence could hold it; None where it is used.
    """

    keyword: str
    used: bool
    why: str | None = None


@dataclass(frozen=True)
class Description:
    """Texts for one listing.

    Attributes:
        seo_title: At most `MAX_TITLE` characters.
        meta_description: At most `MAX_META` characters.
        description: Its sentences, in order.
        bullets: A sentence or phrase each.
        unsaid: Facts that were given and no text states.
        not_given: Values that products of the type usually have and this one does not give, so that they were not said.
        keywords: One for each that was asked for, in order.
        article_type: The given or the most similar known type; None where none is known.
    """

    seo_title: Sentence
    meta_description: Sentence
    description: tuple[Sentence, ...]
    bullets: tuple[Sentence, ...]
    unsaid: tuple[Fact, ...]
    not_given: tuple[str, ...]
    keywords: tuple[Keyword, ...]
    article_type: str | None

    @property
    def text(self) -> str:
        """The description as one text."""
        return " ".join(sentence.text for sentence in self.description)

    @property
    def parts(self) -> Mapping[str, tuple[Sentence, ...]]:
        """Every text by its name."""
        return {
            "seo_title": (self.seo_title,),
            "meta_description": (self.meta_description,),
            "description": self.description,
            "bullets": self.bullets,
        }
