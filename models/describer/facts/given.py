"""What a listing gives, and whether it gives what a text states.

A statement is given by a fact whose words hold its words, in a row: "navy" by "Navy Blue", "sleeves" by "Short Sleeves",
"low rise" by "Low-Rise". A material is not given by another one that only holds its name: "cotton" not by "Cotton Blend",
"leather" not by "Synthetic Leather". A number is given where a fact or the title has it. What a text denies, it states as well:
"padded" is not given by "Non Padded", nor "not padded" by "Padded". A word of the title that states a value is a fact named
`title`, where no field or attribute says the same; where title and field differ, both are given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from catalog.listing import Listing
from catalog.text import clean_html
from models.describer.answers import Fact
from models.describer.facts import words
from models.describer.facts.forms import Forms, form, forms, within
from models.describer.facts.lexicon import Lexicon, Statement, denied, values_of

TITLE = "title"


@dataclass(frozen=True)
class Given:
    """What facts give: their words, and the genders among them."""

    runs: tuple[Forms, ...]
    genders: frozenset[str]


def facts_of(listing: Listing, lexicon: Lexicon) -> tuple[Fact, ...]:
    """Fields, type and attributes that say something, then what the title adds."""
    facts = [Fact(name, clean_html(value)) for name, value in values_of(listing)]
    held = given_forms(facts)
    title = clean_html(listing.title or "")
    added = dict.fromkeys(s.value for s in lexicon.statements(title) if not s.negated and not is_given(s.forms, s.names, held))
    return (*facts, *(Fact(TITLE, value) for value in added))


def given_forms(facts: Sequence[Fact]) -> Given:
    """Of facts."""
    return _given_forms(tuple(facts))


@lru_cache(maxsize=4096)
def _given_forms(facts: tuple[Fact, ...]) -> Given:
    genders = {gender for fact in facts for gender in genders_of(fact.value)}
    if "unisex" in genders:
        genders |= {"men", "women"}
    return Given(tuple(forms(fact.value) for fact in facts), frozenset(genders))


def genders_of(text: str) -> Iterable[str]:
    """Genders that a text names."""
    found = set(forms(text))
    return (gender for gender, said in words.GENDERS.items() if found & {form(word) for word in said})


def is_given(statement: Forms, names: Sequence[str], given: Given, negated: bool = False) -> bool:
    """Whether facts give a value, or its denial, by its words and what it may be a value of."""
    if "gender" in names:
        return any(name.removeprefix("gender:") in given.genders for name in names if name.startswith("gender:"))
    material = "material" in names
    joined = ("".join(statement),)
    for run in given.runs:
        place = within(statement, run)
        if place is None and len(statement) > 1:
            place = within(joined, run)
        if place is not None and denied(run, place) == negated and not (material and _modified(run, place, len(statement))):
            return True
    return False


def _modified(run: Forms, place: int, size: int) -> bool:
    """Whether words beside a material make another one of it."""
    beside = (*run[max(0, place - 1) : place], *run[place + size : place + size + 1])
    return any(word in words.MODIFIERS for word in beside)


def unsupported(text: str, facts: Sequence[Fact], lexicon: Lexicon) -> tuple[Statement, ...]:
    """What a text states and facts do not give."""
    held = given_forms(facts)
    return tuple(s for s in lexicon.statements(text) if not is_given(s.forms, s.names, held, s.negated))
