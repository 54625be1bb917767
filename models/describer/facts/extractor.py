"""Which facts a text states: the measure of whether what is stated is given, and what is given is stated.

A fact is stated where its words stand in the text, in any spelling; a gender by any of its words; a type by its last word, as
"shoes" says Casual Shoes.
"""

from collections.abc import Iterable, Sequence

from models.describer.answers import Fact
from models.describer.facts.forms import forms, within
from models.describer.facts.given import TITLE, genders_of, unsupported
from models.describer.facts.lexicon import TYPE, Lexicon

NOT_ASKED = frozenset({TITLE, "usage"})
"""Facts that a text may state and need not."""


def sayable(facts: Iterable[Fact], lexicon: Lexicon | None = None) -> tuple[Fact, ...]:
    """The facts that a description should state: those of a kind that texts state at all."""
    unsaid = lexicon.unsaid if lexicon else frozenset()
    return tuple(fact for fact in facts if fact.name not in NOT_ASKED and (fact.name, fact.value) not in unsaid)


def stated(text: str, facts: Sequence[Fact], lexicon: Lexicon) -> tuple[Fact, ...]:
    """The facts that a text states, in the order in which it does."""
    told, genders = forms(text), frozenset(genders_of(text))
    found: list[tuple[int, int, Fact]] = []
    for order, fact in enumerate(facts):
        place = _place(fact, told, genders)
        if place is not None:
            found.append((place, order, fact))
    return tuple(fact for _, _, fact in sorted(found, key=lambda one: one[:2]))


def _place(fact: Fact, told: tuple[str, ...], genders: frozenset[str]) -> int | None:
    key = forms(fact.value)
    if fact.name == "gender":
        own = frozenset(genders_of(fact.value))
        both = "unisex" in own and {"men", "women"} <= genders
        return 0 if genders & own or both else None
    place = within(key, told)
    if place is None and fact.name == TYPE and key:
        heads = [part.split()[-1] for part in " ".join(key).split(" and ") if part.split()]
        place = next((told.index(head) for head in heads if head in told), None)
    return place


def precision(text: str, facts: Sequence[Fact], lexicon: Lexicon) -> tuple[int, int]:
    """How many of the values that a text states are given, and how many it states."""
    made = lexicon.statements(text)
    return len(made) - len(unsupported(text, facts, lexicon)), len(made)


def coverage(text: str, facts: Sequence[Fact], lexicon: Lexicon) -> tuple[int, int]:
    """How many of the facts that should be stated a text states, and how many there are."""
    asked = sayable(facts, lexicon)
    return len(stated(text, asked, lexicon)), len(asked)
