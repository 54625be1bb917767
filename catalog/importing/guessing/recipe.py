"""Well-known exports, known by their headers."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from catalog.importing.guessing.names import squashed
from catalog.importing.guessing.profile import Column
from catalog.importing.guessing.proposal import Proposal, condition, described
from catalog.listing import CATEGORY_LEVELS
from configs.schema import StrictModel


class SplitRecipe(StrictModel):
    """Where the category path stands."""

    columns: tuple[str, ...] = Field(description="columns that may hold it, the best first")
    by: tuple[str, ...] = Field(description="marks between levels")
    alternatives: str | None = Field(None, description="mark between several paths in one cell")
    root: bool = Field(False, description="whether the first level is the same for all, and is skipped")


class TagsRecipe(StrictModel):
    """Where the tags stand."""

    columns: tuple[str, ...] = Field(description="columns that may hold them")


class VariantsRecipe(StrictModel):
    """How rows become products."""

    by: tuple[str, ...] = Field((), description="columns whose equal values make one product")
    parent: tuple[str, ...] = Field((), description="columns that name the parent")
    id: tuple[str, ...] = Field((), description="columns with a variant's own id")
    option_pairs: dict[str, str] = Field(description="name and value of an option")


class MappingRecipe(StrictModel):
    """What a mapping for the export says; of columns in a list the first counts that has values."""

    columns: dict[str, tuple[str, ...]] = Field(description="our column: columns of the export")
    split: SplitRecipe | None = Field(None, description="the category path")
    currency: tuple[str, ...] = Field((), description="columns with the currency of all prices")
    tags: TagsRecipe | None = Field(None, description="tags")
    attributes: tuple[str, ...] = Field((), description="columns that are attributes")
    attribute_pairs: dict[str, str] | None = Field(None, description="columns with name and value of an attribute")
    attribute_text: tuple[str, ...] = Field((), description="columns with attributes as text")
    variants: VariantsRecipe | None = Field(None, description="how rows become products")
    images: tuple[str, ...] = Field((), description="columns with photos")
    translated: tuple[str, ...] = Field(
        (), description="columns that are blank but in rows that say a product again, in a language"
    )


class Recipe(StrictModel):
    """An export that many have."""

    name: str = Field(description="what it is, for the person")
    header: tuple[str, ...] = Field(description="columns that all such exports have")
    mapping: MappingRecipe = Field(description="what the mapping says")
    remarks: tuple[str, ...] = Field((), description="what a person should know, a line each")


@cache
def recipes() -> tuple[Recipe, ...]:
    """All recipes, those with the longest header first."""
    files = sorted((Path(__file__).parent / "recipes").glob("*.yaml"))
    found = [Recipe.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files]
    return tuple(sorted(found, key=lambda recipe: -len(recipe.header)))


def recipe_of(columns: Sequence[Column]) -> Recipe | None:
    """The recipe of which every header name occurs, or occurs at the beginning of a longer one."""
    names = {squashed(column.name) for column in columns}
    for recipe in recipes():
        if (
            all(any(name.startswith(squashed(wanted)) for name in names) for wanted in recipe.header[1:])
            and squashed(recipe.header[0]) in names
        ):
            return recipe
    return None


def followed(recipe: Recipe, columns: Sequence[Column]) -> Proposal:
    """The recipe for the columns that are there and have values."""
    proposal = Proposal(kind=recipe.name)
    known = {squashed(column.name): column for column in columns}
    given = recipe.mapping
    _identify(given, known, proposal)
    for ours, names in given.columns.items():
        if ours != "product_id" and (column := _first(names, known)) is not None:
            proposal.map(ours, column, "as in such exports")
    if given.split is not None and (column := _first(given.split.columns, known)) is not None:
        _split(given.split, column, proposal)
    if given.tags is not None and (column := _first(given.tags.columns, known)) is not None:
        proposal.say("tags", {"column": column.name}, column.name, why=described(column))
    _attributes(given, known, proposal)
    if given.variants is not None:
        _variants(given.variants, known, proposal)
    if again := _translated(given, known):
        conditions = [f"{condition(column.name)} is missing" for column in again]
        proposal.say(
            "where", conditions, *(column.name for column in again), why="other rows say the same products in a language"
        )
    photos = list(dict.fromkeys(column.name for name in given.images if (column := _first((name,), known)) is not None))
    if photos:
        proposal.say("images", {"columns": photos}, *photos)
    if (
        (column := _first(given.currency, known)) is not None
        and column.distinct == 1
        and re.fullmatch("[A-Z]{3}", column.values[0])
    ):
        proposal.say("currency", column.values[0], column.name, why=f"all of {column.name}")
    for line in recipe.remarks:
        proposal.remark("columns", line)
    return proposal


def _identify(given: MappingRecipe, known: Mapping[str, Column], proposal: Proposal) -> None:
    """A column that names each product, or counting."""
    candidates = [column for name in given.columns["product_id"] if (column := known.get(squashed(name))) is not None]
    grouped = given.variants is not None and bool(given.variants.by)
    again = sum(round(column.filled * column.rows) for column in _translated(given, known))
    whole = [c for c in candidates if c.filled == 1 and (grouped or c.distinct >= c.rows - again)]
    best = whole or [
        column for column in candidates if column.filled > 1 / 2 and (grouped or column.distinct >= column.filled * column.rows)
    ]
    if best:
        proposal.map("product_id", best[0], "names the product")
    else:
        proposal.say("ids", "counted", why="no column names each product")


def _translated(given: MappingRecipe, known: Mapping[str, Column]) -> list[Column]:
    columns = (_first((name,), known) for name in given.translated)
    return [column for column in columns if column is not None and column.filled < 1]


def _split(given: SplitRecipe, column: Column, proposal: Proposal) -> None:
    free: list[str | None] = [level if level not in proposal.says["columns"] else None for level in CATEGORY_LEVELS]
    if not any(free):
        return
    split: dict[str, Any] = {"by": list(given.by), "into": [None, *free] if given.root else free}
    if given.alternatives is not None:
        split["alternatives"] = given.alternatives
    if free[-1] == CATEGORY_LEVELS[-1]:
        split["fill"] = True
    proposal.say("split", {column.name: split}, column.name)
    proposal.why[f"split.{column.name}"] = described(column)


def _attributes(given: MappingRecipe, known: Mapping[str, Column], proposal: Proposal) -> None:
    names = [column.name for name in given.attributes if (column := _first((name,), known)) is not None]
    if names:
        proposal.say("attributes", names, *names)
    if given.attribute_pairs is not None and (used := _numbered(given.attribute_pairs, known)):
        proposal.say("attribute_pairs", given.attribute_pairs, *used)
    texts = [column.name for name in given.attribute_text if (column := _first((name,), known)) is not None]
    if texts:
        proposal.say("attribute_text", texts, *texts)


def _variants(given: VariantsRecipe, known: Mapping[str, Column], proposal: Proposal) -> None:
    by, parent, own = (_first(names, known) for names in (given.by, given.parent, given.id))
    if (by is None or by.unique) and parent is None:
        return
    found: dict[str, Any] = {"by": by.name} if by is not None else {"parent": parent.name} if parent is not None else {}
    used = list(found.values())
    if own is not None:
        found["id"] = own.name
        used.append(own.name)
    if pairs := _numbered(given.option_pairs, known):
        found["option_pairs"] = given.option_pairs
        used += pairs
    proposal.say("variants", found, *used, why="several rows are one product")


def _first(names: Sequence[str], known: Mapping[str, Column]) -> Column | None:
    columns = (known.get(squashed(name)) for name in names)
    return next((column for column in columns if column is not None and column.values), None)


def _numbered(pair: Mapping[str, str], known: Mapping[str, Column]) -> list[str]:
    """The columns of a numbered pair that are there."""
    wanted = [re.escape(part).replace(re.escape("{n}"), "[0-9]+") for part in pair.values()]
    found = [column for column in known.values() if any(re.fullmatch(part, column.name) for part in wanted)]
    return [column.name for column in found] if any(column.values for column in found) else []
