"""Proposes a mapping for a file, with comments that say why: a person reads it, and changes what is wrong."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from catalog.errors import CatalogueError
from catalog.importing.guessing.behaviour import guessed_behaviour
from catalog.importing.guessing.header import header_elsewhere, means_something
from catalog.importing.guessing.names import SURE, meant
from catalog.importing.guessing.products import best, guessed_products
from catalog.importing.guessing.profile import Column, moment, profiles
from catalog.importing.guessing.proposal import Proposal, condition, said, written
from catalog.importing.guessing.recipe import followed, recipe_of
from catalog.importing.mapping import ReadingMapping
from catalog.importing.sources.dialect import NO_HEADER, ROW_LIKE
from catalog.importing.sources.open import open_source

_DATES = ("listed_at", "timestamp")
_PRICES = ("price", "discounted_price")


def guess(path: Path, reading: ReadingMapping) -> str:
    """A mapping for `path` as YAML; it loads as `ImportMapping`.

    Raises:
        CatalogueError: the file cannot be read as `reading` says, or has no rows.
    """
    asked, reading = reading, _where_header_stands(path, reading)
    try:
        with open_source(path, reading) as source:
            columns, notes, rows = profiles(source), list(source.notes), source.rows
            misfits = source.misfits
    except CatalogueError as error:
        if reading.header and NO_HEADER in str(error):
            return guess(path, reading.model_copy(update={"header": False}))
        raise
    if reading.header and any(ROW_LIKE in note for note in notes) and not any(means_something(column.name) for column in columns):
        return guess(path, reading.model_copy(update={"header": False}))
    if not rows:
        first = f": none fits; the first: line {misfits[0].line}, {misfits[0].reason}" if misfits else ""
        raise CatalogueError(f"{path} has no rows that a mapping could be told from{first}")
    if misfits:
        notes.append(f"{len(misfits)} lines that do not fit; the first: line {misfits[0].line}, {misfits[0].reason}")
    proposal = _proposed(columns)
    proposal.says = {**said(reading), **proposal.says}
    if reading.sheet != asked.sheet:
        proposal.remark("sheet", "The sheets before it name no columns that are known.")
    if reading.skip:
        proposal.remark("skip", f"Line {reading.skip + 1} names the columns; those before it are no part of the table.")
    _dates(proposal, columns)
    _numbers(proposal, columns)
    _currency(proposal, columns)
    proposal.mapping()
    return written(proposal, f"{path.name} ({rows:,} rows, {len(columns)} columns)", notes, columns)


def _proposed(columns: Sequence[Column]) -> Proposal:
    recipe = recipe_of(columns)
    if recipe is not None:
        return followed(recipe, columns)
    return guessed_behaviour(columns) or guessed_products(columns)


def _where_header_stands(path: Path, reading: ReadingMapping) -> ReadingMapping:
    try:
        return header_elsewhere(path, reading)
    except CatalogueError:
        return reading  # opening it says what is wrong, and names the file


def _dates(proposal: Proposal, columns: Sequence[Column]) -> None:
    """The form of dates, where it is not the default; a remark where day and month may be the other way round."""
    for column in _mapped(proposal, columns, _DATES):
        forms = column.date_forms
        if forms and forms != ("ISO8601",):
            proposal.say("date_format", forms[0] if len(forms) == 1 else list(forms), why=f"as in {column.name}")
        for form in forms:
            other = form.translate(str.maketrans("dm", "md"))
            if other != form and "%d" in form and "%m" in form and all(moment(value, other) for value in column.values):
                proposal.remark("date_format", f"{column.name} can be read as {form} and as {other}: {column.examples(1)}.")


def _currency(proposal: Proposal, columns: Sequence[Column]) -> None:
    """The currency of all prices, where a column of its own says it; of several the commonest, and only the rows in it."""
    left = [column for column in columns if column.values and column.name not in proposal.used]
    if not _mapped(proposal, columns, _PRICES) or {"currency", "where"} & set(proposal.says):
        return
    found = best("currency", left, lambda column: all(re.fullmatch("[A-Z]{3}", value) for value in column.values))
    if found is None or meant(found.name, "currency") < SURE:
        return
    common, *others = [code for code, _ in Counter(found.values).most_common()]
    proposal.say("currency", common, found.name, why=f"{'most' if others else 'all'} of {found.name}")
    if others:
        rows = f"prices in {', '.join(sorted(others))} would be mixed with those in {common}"
        proposal.say("where", [f"{condition(found.name)} = {common}"], why=rows)


def _numbers(proposal: Proposal, columns: Sequence[Column]) -> None:
    """The form of numbers, where values say it; the choice to be made, where they do not."""
    comma = point = either = None
    for column in _mapped(proposal, columns, _PRICES):
        seen = column.comma_decimals
        comma, point, either = comma or seen[0], point or seen[1], either or seen[2]
        if len(column.currencies) > 1:
            proposal.remark(
                "currency", f"{column.name} has several currencies ({', '.join(column.currencies)}); say the one to keep:"
            )
            proposal.remark("currency", f"currency: {column.currencies[0]}")
    if comma is not None and point is not None:
        question = f'Two forms of numbers occur: "{comma}" and "{point}". Say which is right; rows of the other do not fit:'
        _choose(proposal, question, "decimal", ",", "decimal", ".")
    elif (sure := comma or point) is not None and either is not None and (mark := "," if sure == comma else ".") in either:
        question = (
            f'"{sure}" has a fraction; "{either}" has one too, or is a number of thousands. Say which; other rows do not fit:'
        )
        _choose(proposal, question, "decimal", mark, "thousands", mark)
    elif comma is not None:
        proposal.say("decimal", ",", why=f'as in "{comma}"')
        if "." in comma:
            proposal.say("thousands", ".")
        elif either is not None:
            _ask_thousands(proposal, "point", ".", either)
    elif point is not None and either is not None and "," not in point:
        proposal.say("decimal", ".", why=f'as in "{point}"')
        _ask_thousands(proposal, "comma", ",", either)
    elif point is None and either is not None:
        mark = "," if "," in either else "."
        _choose(
            proposal,
            f'"{either}" may be a number of thousands or a fraction; say one of these:',
            "thousands",
            mark,
            "decimal",
            mark,
        )


def _ask_thousands(proposal: Proposal, called: str, mark: str, either: str) -> None:
    question = f'Is the {called} in "{either}" between thousands? Then take the first mark off; if not, mend the file:'
    proposal.remark("thousands", question)
    proposal.remark("thousands", f'thousands: "{mark}"')


def _choose(proposal: Proposal, question: str, part: str, mark: str, other: str, other_mark: str) -> None:
    proposal.remark("decimal", question)
    proposal.remark("decimal", f'{part}: "{mark}"')
    proposal.remark("decimal", f'{other}: "{other_mark}"')


def _mapped(proposal: Proposal, columns: Sequence[Column], ours: Sequence[str]) -> list[Column]:
    names = [proposal.says["columns"].get(name) for name in ours]
    return [column for column in columns if column.name in names]
