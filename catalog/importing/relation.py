# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""The rows of a source as SQL: without what says nothing, filtered, and each of our columns as a text expression.

Nothing is copied: each pass reads only the columns that it needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import CatalogueError
from catalog.importing.attributes import columns_like, numbered
from catalog.importing.mapping import ImportMapping
from catalog.importing.source import LINE, TABLE, Source
from catalog.importing.sql import listed, name, text, trimmed
from catalog.importing.where import Condition, parse
from catalog.schema import KEY, TABLES, is_key

ROW = "__row"
"""Column of the views with the row's place in the table, which is its own even where several stand on one line."""

TRUTH = {"true": "1", "yes": "1", "false": "0", "no": "0"}
"""What says in other words whether a product is recommended; `values` of a mapping takes its place."""

_FORMULA = '="[^"]*"'
"""A text that is written as a formula."""

KNOWN, KEPT = "known", "kept"
"""Views: the columns that the mapping names, with null for what says nothing; those rows of it that the filters keep."""


@dataclass(frozen=True)
class Inputs:
    """Columns of the file that a mapping uses beside those that it maps one to one.

    Attributes:
        attributes: Columns that become attributes by their own name.
        pairs: Columns with name and value of an attribute.
        texts: Columns with attributes as text.
        tags: Column of tags.
        options: Column with the value of an option of variants, by the option's name.
        option_pairs: Columns with name and value of an option.
        photos: Columns that name photos.
    """

    attributes: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    tags: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    option_pairs: tuple[tuple[str, str], ...] = ()
    photos: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """All of them, each once."""
        pairs = [column for pair in (*self.pairs, *self.option_pairs) for column in pair]
        tags = [self.tags] if self.tags is not None else []
        return list(dict.fromkeys([*self.attributes, *pairs, *self.texts, *tags, *self.options.values(), *self.photos]))

    @property
    def attributed(self) -> bool:
        """Whether any of them says something about a product's attributes."""
        return bool(self.attributes or self.pairs or self.texts or self.tags or self.options or self.option_pairs)


@dataclass(frozen=True)
class Relation:
    """The rows of a file under a mapping.

    Attributes:
        source: The file.
        mapping: What its columns mean.
        inputs: Columns that are used beside those that are mapped one to one.
        conditions: Filters.
    """

    source: Source
    mapping: ImportMapping
    inputs: Inputs
    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, source: Source, mapping: ImportMapping) -> "Relation":
        """Check that the file has what the mapping names, and make the views.

        Raises:
            CatalogueError: the file has no such column; a filter is none.
        """
        columns, variants = source.columns, mapping.variants
        inputs = Inputs(
            attributes=tuple(columns_like(mapping.attributes, columns, "attributes")),
            pairs=tuple(numbered(mapping.attribute_pairs, columns, "attribute_pairs")),
            texts=tuple(columns_like(mapping.attribute_text, columns, "attribute_text")),
            tags=mapping.tags.column if mapping.tags else None,
            options=variants.options if variants else {},
            option_pairs=tuple(numbered(variants.option_pairs, columns, "variants.option_pairs")) if variants else (),
            photos=tuple(columns_like(mapping.images.columns, columns, "images.columns")),
        )
        relation = cls(source, mapping, inputs, tuple(parse(condition, columns) for condition in mapping.where))
        relation._check()
        relation._make_views()
        return relation

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query that is small."""
        return self.source.connection.execute(sql).fetchall()

    def given(self) -> list[str]:
        """Our columns that the mapping fills from one column or constant, in the order of the schema."""
        key = KEY.get(self.mapping.table)
        made = [key] if self.mapping.ids is not None and key else []
        return [c for c in TABLES[self.mapping.table] if c in self.mapping.columns or c in self.mapping.constants or c in made]

    def where(self, column: str) -> str:
        """File and column of one of ours, for messages."""
        mapped = self.mapping.columns.get(column)
        return f"{self.source.path}, column {mapped}" if mapped is not None else f"{self.source.path}, {column}"

    def expression(self, column: str) -> str:
        """SQL text of one of our columns, by `values`, null where nothing is known."""
        if column in self.mapping.constants:
            return text(self.mapping.constants[column])
        if column not in self.mapping.columns:
            return self._counted()
        value = name(self.mapping.columns[column])
        if is_key(column):
            value = trimmed(value)
        if becomes := self.mapping.values.get(column):
            return _replaced(trimmed(value), becomes, value)
        return _replaced(f"lower({trimmed(value)})", TRUTH, value) if column == "recommended" else value

    def named(self, placeholder: str) -> str:
        """SQL text of one of our columns or of the file's, whichever a placeholder names.

        Raises:
            CatalogueError: neither is there.
        """
        if placeholder in self.given():
            return self.expression(placeholder)
        if placeholder in self.source.columns:
            return trimmed(name(placeholder))
        raise CatalogueError(
            f"images.file names {placeholder}; columns: {', '.join(dict.fromkeys([*self.given(), *self.source.columns]))}"
        )

    def _counted(self) -> str:
        ids = self.mapping.ids
        if ids == "counted" or ids is None:
            return "CAST(row_number() OVER () AS VARCHAR)"
        parts = [trimmed(name(column)) for column in ids]
        return "(" + " || '-' || ".join(parts) + ")"

    def used(self) -> list[str]:
        """Columns of the file that are used."""
        mapping, variants = self.mapping, self.mapping.variants
        ids = [] if mapping.ids is None or mapping.ids == "counted" else list(mapping.ids)
        grouping = [c for c in (variants.by, variants.parent, variants.id) if c is not None] if variants else []
        named = [p for p in placeholders(mapping.images.file or "") if p in self.source.columns]
        filters = [condition.column for condition in self.conditions]
        return list(
            dict.fromkeys([*mapping.columns.values(), *ids, *mapping.split, *grouping, *self.inputs.columns, *named, *filters])
        )

    def _check(self) -> None:
        if lacking := [column for column in self.used() if column not in self.source.columns]:
            found = "; ".join([", ".join(self.source.columns), *self.source.notes])
            raise CatalogueError(f"{self.source.path} has no column {', '.join(lacking)}; it has: {found}")
        if ours := [column for column in self.used() if column.startswith("__")]:
            raise CatalogueError(
                f"{self.source.path}: column {', '.join(ours)} begins with __ as those of an import do; rename it"
            )

    def _known(self, cell: str) -> str:
        """SQL for a cell, null where it says nothing; `="007"` is 007, as programs write it for spreadsheets to keep the zeros.

        A list, as DuckDB makes a join of IN that each query would pay for.
        """
        begins = f"starts_with({cell}, {text(_FORMULA[:2])})"  # cheap, and spares nearly every cell the pattern
        formula = f"{begins} AND regexp_full_match({cell}, {text(_FORMULA)})"
        value = f"(CASE WHEN {formula} THEN {cell}[3:-2] ELSE {cell} END)"
        marks = ["", *(mark.strip() for mark in self.mapping.missing)]
        longest = max(len(mark.encode()) for mark in marks)
        short = trimmed(value)
        return f"CASE WHEN strlen({short}) > {longest} OR NOT list_contains({listed(marks)}, {short}) THEN {value} END"

    def _make_views(self) -> None:
        cells = [f"{self._known(name(column))} AS {name(column)}" for column in self.used()]
        keep = " AND ".join(condition.sql for condition in self.conditions) or "true"
        connection = self.source.connection
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {KNOWN} AS SELECT {', '.join([name(LINE), f'rowid AS {ROW}', *cells])} FROM {TABLE}"
        )
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {KEPT} AS SELECT * FROM {KNOWN} WHERE {keep}")


def _replaced(compared: str, becomes: Mapping[str, str], otherwise: str) -> str:
    """SQL that puts one text in another's place."""
    cases = " ".join(f"WHEN {text(old.strip())} THEN {text(new)}" for old, new in becomes.items())
    return f"(CASE {compared} {cases} ELSE {otherwise} END)"


def placeholders(template: str) -> Sequence[str]:
    """Names in braces."""
    return [part.partition("}")[0] for part in template.split("{")[1:] if "}" in part]
