"""How a brief reads as tokens, and which slot stands for which of its facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.describer.answers import Fact, Tone
from models.describer.config import WriterConfig
from models.describer.tokens import WriterTokenizer


@dataclass(frozen=True)
class Prompt:
    """A brief as tokens.

    Attributes:
        ids: Tone, audience, keywords, title, then a slot and its value for each fact.
        slots: Id of each slot to the fact that it copies.
        left: Facts for which there was no room, or no slot.
    """

    ids: tuple[int, ...]
    slots: Mapping[int, Fact]
    left: tuple[Fact, ...]


def prompt(
    tokenizer: WriterTokenizer,
    config: WriterConfig,
    facts: Sequence[Fact],
    title: str | None,
    audience: str | None,
    tone: Tone,
    keywords: Sequence[str] = (),
    shared: frozenset[Fact] = frozenset(),
) -> Prompt:
    """A brief with its facts in the order given; those in `shared` take shared slots even where their names have own ones."""
    ids = [tokenizer.tones[tone]]
    if audience:
        ids += [tokenizer.audience, *tokenizer.encode(f" {audience}")[: config.value_tokens]]
    for keyword in keywords:
        if len(ids) < config.prompt_tokens // 4:
            ids += [tokenizer.keyword, *tokenizer.encode(f" {keyword}")[: config.value_tokens]]
    if title:
        ids += [tokenizer.title, *tokenizer.encode(f" {title}")[: config.title_tokens]]
    ids.append(tokenizer.facts)
    slots: dict[int, Fact] = {}
    left = []
    for fact in facts:
        own = tokenizer.slots.get(fact.name)
        taken = set(slots) | ({own} if own is not None and fact in shared else set())
        slot = tokenizer.slot_for(fact.name, taken)
        said = [] if slot is None else _fact(tokenizer, config, fact, slot == own)
        if slot is None or len(ids) + 1 + len(said) > config.prompt_tokens:
            left.append(fact)
            continue
        ids += [slot, *said]
        slots[slot] = fact
    return Prompt(tuple(ids), slots, tuple(left))


def _fact(tokenizer: WriterTokenizer, config: WriterConfig, fact: Fact, own: bool) -> list[int]:
    """The value; behind a shared slot, the name as well."""
    text = f" {fact.value}" if own else f" {fact.name}: {fact.value}"
    return tokenizer.encode(text)[: config.value_tokens]
