"""Which of the keywords that are asked for may be used: those that state nothing, or what is given."""

from collections.abc import Sequence

from catalog.listing import Listing
from models.describer.answers import Fact
from models.describer.facts.given import given_forms, is_given, unsupported
from models.describer.facts.lexicon import Lexicon, Statement, values_of


def refused(keyword: str, listing: Listing, facts: Sequence[Fact], lexicon: Lexicon) -> str | None:
    """Why a keyword is not used, one phrase; None where it may be."""
    wrong = unsupported(keyword, facts, lexicon)
    if not wrong:
        return None
    first = wrong[0]
    other = _contradicted(first, listing, lexicon)
    if other is not None:
        return f"{first.value!r} contradicts the {other.name.replace('_', ' ')} {other.value!r}"
    return f"{first.value!r} states a value that the listing does not give"


def _contradicted(statement: Statement, listing: Listing, lexicon: Lexicon) -> Fact | None:
    """The given value of the same field or attribute, where there is one."""
    kinds = {"colour": "base_colour"}
    names = {kinds.get(name, name) for name in statement.names}
    for name, value in values_of(listing):
        same = name in names or any(n in names for n in lexicon.values.get((value.casefold(),), ()))
        if same and not is_given(statement.forms, statement.names, given_forms([Fact(name, value)]), statement.negated):
            return Fact(name, value)
    return None
