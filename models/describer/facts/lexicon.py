"""Which words of a text state a value: learned from a catalogue's values, beside a closed list.

A value of the catalogue is stated by its words in any spelling (`models.describer.facts.forms`). A word that most texts use
otherwise is left out: where it stands as often in listings that do not give the value, it says nothing (brands such as "Only").
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from catalog.listing import Listing
from catalog.text import clean_html
from models.describer.answers import Fact
from models.describer.facts import words
from models.describer.facts.forms import Forms, Token, form, forms, tokens

FIELDS = ("brand", "gender", "base_colour", "usage")
"""Fields whose values are stated; season and age group are how a shop sorts, not what a product is."""
TYPE = "article_type"
FIRST = ("brand", "gender", "base_colour", TYPE)
"""Facts that a description begins with."""
NUMBER, DETAIL = "number", "detail"
LONGEST = 5
"""Words of a value; a longer one is prose."""
SEEN, RATE = 20, 0.01
"""A value that so many listings give and fewer than this share of their texts states is not said of products."""
COMMON = 0.5
"""A brand whose word stands mostly in listings of other brands is a word."""


@dataclass(frozen=True)
class Statement:
    """A value that a text states.

    Attributes:
        names: What it may be a value of: names of facts, or a kind of `models.describer.facts.words`.
        value: As the text says it.
        forms: The same in one spelling.
        start, end: Where in the text.
        negated: Whether the text denies it ("no pockets").
    """

    names: tuple[str, ...]
    value: str
    forms: Forms
    start: int
    end: int
    negated: bool = False


NEGATIONS = frozenset({"no", "not", "non", "without", "never", "minus"})


class Lexicon:
    """Values by the forms of their words, and which of them are ever said."""

    def __init__(self, values: Mapping[Forms, Sequence[str]], unsaid: Iterable[tuple[str, str]], types: Iterable[str]) -> None:
        """`values`: forms to the names that they are a value of; `unsaid`: names and values that no text states."""
        self.values = {key: tuple(names) for key, names in values.items()}
        self.unsaid = frozenset(unsaid)
        self.types = tuple(types)
        self._longest = max(map(len, self.values), default=1)
        kinds = {word for kind in self.types for word in forms(kind)}
        self._joined = {name: key for key in self.values if len(key) > 1 and (name := "".join(key)) not in kinds}

    @classmethod
    def fit(cls, listings: Sequence[Listing]) -> Self:
        """Learn from listings with their titles and descriptions."""
        values = _closed()
        texts = [frozenset(_grams(f"{x.title or ''} . {clean_html(x.description or '')}")) for x in listings]
        given, said, elsewhere = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[Forms]()
        pairs = [tuple(values_of(listing)) for listing in listings]
        for own, text in zip(pairs, texts, strict=True):
            for name, value in own:
                given[name, value] += 1
                said[name, value] += forms(value) in text
        brands = {forms(value): value for name, value in given if name == "brand"}
        for own, text in zip(pairs, texts, strict=True):
            mine = {forms(value) for name, value in own if name == "brand"}
            elsewhere.update(key for key in text & brands.keys() if key not in mine)
        unsaid = {pair for pair, count in given.items() if count >= SEEN and said[pair] < RATE * count}
        for name, value in given:
            key = forms(value)
            if (name, value) in unsaid or not key or len(key) > LONGEST or name == TYPE:
                continue
            if name == "brand" and elsewhere[key] > COMMON * (said[name, value] + elsewhere[key]):
                continue
            values[key].add(name)
        types = sorted({value for name, value in given if name == TYPE})
        return cls({key: sorted(names) for key, names in sorted(values.items()) if key}, sorted(unsaid), types)

    def state(self) -> dict[str, Any]:
        """JSON that `restore` reads."""
        return {
            "values": [[list(key), list(names)] for key, names in self.values.items()],
            "unsaid": [list(pair) for pair in sorted(self.unsaid)],
            "types": list(self.types),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Read what `state` gave.

        Raises:
            KeyError: something is missing.
        """
        values = {key: {*names} for key, names in _closed().items()}  # the list may have grown since
        for key, names in state["values"]:
            values.setdefault(tuple(key), set()).update(names)
        return cls(
            {key: sorted(names) for key, names in sorted(values.items())},
            ((name, value) for name, value in state["unsaid"]),
            state["types"],
        )

    def statements(self, text: str) -> tuple[Statement, ...]:
        """Values that a text states, in order; the longest at each place, in one word as well ("slim-fit"), and every number."""
        found, told = [], list(tokens(text))
        said, place = [token.form for token in told], 0
        while place < len(told):
            size = self._size(told, place)
            if size:
                key = tuple(token.form for token in told[place : place + size])
                key = key if key in self.values else self._joined.get(key[0], key)
                names = self.values.get(key, (NUMBER,))
                start, end = told[place].start, told[place + size - 1].end
                found.append(Statement(names, text[start:end], key, start, end, denied(said, place)))
            place += max(size, 1)
        return tuple(found)

    def _size(self, told: Sequence[Token], place: int) -> int:
        """How many words from here state a value."""
        for size in range(min(self._longest, len(told) - place), 0, -1):
            if tuple(token.form for token in told[place : place + size]) in self.values:
                return size
        word = told[place].form
        return int(word in self._joined or word in words.NUMBERS or any(map(str.isdigit, word)))

    def forms_not_in(self, facts: Sequence[Fact]) -> list[str]:
        """Spellings of the values that facts do not give, each folded: what a text must not hold."""
        from models.describer.facts.given import given_forms, is_given

        held = given_forms(facts)
        return [spelling for key in self.values if not is_given(key, self.values[key], held) for spelling in self._spellings[key]]

    @cached_property
    def _spellings(self) -> dict[Forms, tuple[str, ...]]:
        """Ways to write each value: a word may be in the plural, and known compounds with a hyphen."""
        return {key: tuple(dict.fromkeys((" ".join(key), " ".join((*key[:-1], plural(key[-1])))))) for key in self.values}


def denied(told: Sequence[str], place: int) -> bool:
    """Whether one of the two forms before this one denies it."""
    return any(word in NEGATIONS for word in told[max(0, place - 2) : place])


def _closed() -> dict[Forms, set[str]]:
    """Values that every catalogue's texts state, to their kinds."""
    values: dict[Forms, set[str]] = defaultdict(set)
    for kind, entries in _CLOSED.items():
        for entry in entries:
            values[forms(entry)].add(kind)
    for gender, spelled in words.GENDERS.items():
        for word in spelled:
            values[(form(word),)] |= {"gender", f"gender:{gender}"}
    return values


def plural(word: str) -> str:
    """English plural of a form."""
    if word.endswith(("s", "sh", "ch", "x")):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("y") and word[-2:-1] not in "aeiou" else word + "s"


def values_of(listing: Listing) -> Iterable[tuple[str, str]]:
    """Names and values of a listing that state something."""
    for name in FIELDS:
        if says(value := listing.fields.get(name)):
            yield name, str(value)
    if says(value := listing.categories.get(TYPE)):
        yield TYPE, str(value)
    for name, held in listing.attributes.items():
        if says(held) and name not in FIELDS and name != TYPE:
            yield name, held


def says(value: str | None) -> bool:
    """Whether a value says something."""
    return bool(value) and " ".join((value or "").casefold().split()) not in words.SAYS_NOTHING and bool(forms(value or ""))


def _grams(text: str) -> Iterable[Forms]:
    told = forms(text)
    for size in range(1, LONGEST + 1):
        for start in range(len(told) - size + 1):
            yield told[start : start + size]


_CLOSED = {
    "colour": words.listed(words.COLOURS),
    "material": words.listed(words.MATERIALS),
    "care": words.listed(words.CARE),
    "fit": words.listed(words.FITS),
    "pattern": words.listed(words.PATTERNS),
    DETAIL: words.listed(words.DETAILS),
}
