"""Copy slots: where a text says a fact's value, the slot stands for whatever the value is."""

import re
from collections.abc import Sequence

from models.describer.answers import Fact
from models.describer.facts.forms import Forms, forms, tokens

SLOT = re.compile(r"<<([^<>]+)>>")
"""A slot in a text; the name of its fact is between the brackets."""
UNSLOTTED = frozenset({"gender", "article_type", "usage", "title"})
"""Facts whose words change with the sentence: men, men's, his; a shirt, shirts. They are written, not copied."""
_ARTICLE = re.compile(r"\b([Aa])n?(?= (?:\"|')?([A-Za-z]))")
_VOWEL_SOUND = re.compile(r"(?:[aeio]|u(?!ni|s[ei]))", re.IGNORECASE)


def slotted(text: str, facts: Sequence[Fact]) -> str:
    """A text with the whole values of facts replaced by slots, the longest first."""
    told = list(tokens(text))
    said = tuple(token.form for token in told)
    taken: list[tuple[int, int, str]] = []
    for fact in sorted(facts, key=lambda f: -len(f.value)):
        key = forms(fact.value)
        if fact.name in UNSLOTTED or not key:
            continue
        for place in _places(key, said):
            start, end = told[place].start, told[place + len(key) - 1].end
            if all(end <= a or b <= start for a, b, _ in taken):
                taken.append((start, end, fact.name))
    for start, end, name in sorted(taken, reverse=True):
        text = f"{text[:start]}<<{name}>>{text[end:]}"
    return text


def _places(key: Forms, said: Forms) -> list[int]:
    return [i for i in range(len(said) - len(key) + 1) if said[i : i + len(key)] == key]


def fact_of(slot: "re.Match[str]", facts: Sequence[Fact]) -> Fact | None:
    """The fact that a slot stands for."""
    return next((fact for fact in facts if fact.name == slot[1] and fact.name not in UNSLOTTED), None)


def slots_in(text: str) -> tuple[str, ...]:
    """Names of the facts that a text copies."""
    return tuple(slot[1] for slot in SLOT.finditer(text))


def fill(pieces: Sequence[str | Fact], as_given: bool = False) -> str:
    """A sentence of texts and facts: values in a sentence's case, a or an, single spaces, a capital at its start.

    `as_given` leaves values as the listing writes them, as titles do.
    """
    text = ""
    for piece in pieces:
        text += piece if isinstance(piece, str) else piece.value if as_given else _spelled(piece)
    text = " ".join(text.split())
    text = re.sub(r"\s+([.,;:!?])", r"\1", text)
    text = _ARTICLE.sub(lambda m: m[1] + ("n" if _VOWEL_SOUND.match(m[2]) and _vowel(text, m.end()) else ""), text)
    return text[:1].upper() + text[1:]


def _vowel(text: str, end: int) -> bool:
    """Whether the word behind an article begins with the sound of a vowel."""
    word = re.match(r"\s*[\"']?(\w+)", text[end:])
    return bool(word and _VOWEL_SOUND.match(word[1]))


def _spelled(fact: Fact) -> str:
    """A value as it stands in a sentence: names as they are, other words small, but not abbreviations."""
    if fact.name == "brand":
        return fact.value
    return re.sub(r"[^\W\d_]+", lambda m: m[0] if m[0].isupper() and len(m[0]) > 1 else m[0][:1].lower() + m[0][1:], fact.value)


def realised(text: str, facts: Sequence[Fact]) -> str:
    """A slotted text with the values of facts in it."""
    pieces: list[str | Fact] = []
    end = 0
    for slot in SLOT.finditer(text):
        fact = fact_of(slot, facts)
        if fact is not None:
            pieces += [text[end : slot.start()], fact]
            end = slot.end()
    return fill([*pieces, text[end:]])
