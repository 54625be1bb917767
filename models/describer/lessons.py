"""From cleaned texts to lessons: sentences as ids, with copies of facts in the place of slots."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from models.describer.answers import Fact
from models.describer.data import Lesson, Piece
from models.describer.facts.cleaning import Example
from models.describer.facts.extractor import stated
from models.describer.facts.lexicon import Lexicon
from models.describer.facts.slots import SLOT, UNSLOTTED, fact_of
from models.describer.tokens import WriterTokenizer

LONG = re.compile(r"[^\W\d_]{4,}")
"""Words that could be keywords."""

MOST_WORDS = 40
"""Words of a listing that keywords are drawn from, at most."""


def pieces(text: str, facts: Sequence[Fact]) -> list[str | Fact]:
    """A text cut at its slots, which stand for facts."""
    found: list[str | Fact] = []
    end = 0
    for slot in SLOT.finditer(text):
        fact = fact_of(slot, facts)
        if fact is None:
            continue
        if slot.start() > end:
            found.append(text[end : slot.start()])
        found.append(fact)
        end = slot.end()
    return [*found, text[end:]] if end < len(text) else found


def sentences_of(example: Example) -> Iterable[list[str | Fact]]:
    """Every sentence of every text, cut at its slots."""
    return (pieces(sentence, example.facts) for sentences in example.targets.values() for sentence in sentences)


def texts_of(examples: Iterable[Example]) -> Iterable[str]:
    """What byte pairs are learnt from: texts without their slots, and the values, titles and names of briefs."""
    for example in examples:
        yield example.listing.title or ""
        yield " ".join(f" {fact.name}: {fact.value}" for fact in example.facts)
        for cut in sentences_of(example):
            yield from (piece for piece in cut if isinstance(piece, str))


def slot_counts(examples: Iterable[Example]) -> Counter[str]:
    """How many listings give a fact of each name."""
    return Counter(name for example in examples for name in {fact.name for fact in example.facts})


def lesson(example: Example, tokenizer: WriterTokenizer, lexicon: Lexicon) -> Lesson:
    """One example as ids."""
    place = {fact: -1 - i for i, fact in enumerate(example.facts)}
    texts: dict[str, tuple[tuple[Piece, ...], ...]] = {}
    words: list[str] = []
    for part, sentences in example.targets.items():
        cut = [pieces(sentence, example.facts) for sentence in sentences]
        texts[part] = tuple(
            tuple(one for piece in sentence for one in ([place[piece]] if isinstance(piece, Fact) else tokenizer.encode(piece)))
            for sentence in cut
        )
        words += [word for sentence in cut for piece in sentence if isinstance(piece, str) for word in LONG.findall(piece)]
    said = {-1 - one for sentences in texts.values() for sentence in sentences for one in sentence if one < 0}
    written = [(i, fact) for i, fact in enumerate(example.facts) if fact.name in UNSLOTTED]
    told = " ".join(sentence for sentences in example.targets.values() for sentence in sentences)
    in_words = stated(told, [fact for _, fact in written], lexicon)
    said |= {i for i, fact in written if fact in in_words}
    return Lesson(
        facts=tuple(example.facts),
        said=frozenset(said),
        title=example.listing.title,
        audience=example.audience,
        tone=example.tone,
        texts=texts,
        words=tuple(dict.fromkeys(word.lower() for word in words))[:MOST_WORDS],
    )
