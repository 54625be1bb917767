# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""What is found out about all rows before the first is read: forms of numbers, spellings of labels, kinds of ids."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from catalog.importing.ids import decimal_ids, rounded_ids, twin_ids
from catalog.importing.labels import fold
from catalog.importing.mapping import LABELS, ImportMapping
from catalog.importing.numbers import NumberForm, Seen, currency_of, find_form, shape_of
from catalog.importing.paths import split_path
from catalog.importing.relation import KEPT, Relation
from catalog.importing.source import LINE
from catalog.importing.sql import name, text
from catalog.schema import KEY, TABLES, is_key

PRICES = ("price", "discounted_price")
"""Our columns that are amounts of money."""

_PLAIN_ID = "0|-?[1-9][0-9]{0,17}"


@dataclass(frozen=True)
class Findings:
    """What all rows together say.

    Attributes:
        forms: Of the numbers, by our column.
        labels: What the label columns' values become, by our column, null where the column is no label or labels are kept.
        paths: What a cell of each path column becomes: our columns, coarse to fine.
        keys: Our columns that are ids.
        integers: Those whose values are all plain integers.
        repeated: Ids that several rows have.
        currency: ISO code of the prices; None where they say none.
        notes: A line each, for the person.
        warnings: The same of what is likely not meant.
    """

    forms: Mapping[str, NumberForm] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paths: Mapping[str, Mapping[str, tuple[str | None, ...]]] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset()
    repeated: frozenset[str] = frozenset()
    currency: str | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def is_number(table: str, column: str) -> bool:
    """Whether a column of ours holds numbers that are no ids."""
    kind = TABLES[table][column]
    return not is_key(column) and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_whole(table: str, column: str) -> bool:
    """Whether a column of ours holds whole numbers only."""
    return bool(pa.types.is_integer(TABLES[table][column]))


def find_forms(relation: Relation) -> tuple[dict[str, NumberForm], list[str]]:
    """Form of each number column, and what must be told of them.

    Raises:
        CatalogueError: a column contradicts itself, or prices name two currencies and the mapping names none.
    """
    mapping, forms, notes = relation.mapping, {}, []
    numeric = [column for column in relation.given() if is_number(mapping.table, column)]
    shapes = {column: _shapes(relation, column) for column in numeric}
    currency = mapping.currency
    if currency is None:
        priced = [column for column in PRICES if column in shapes]
        seen = sorted((seen for column in priced for seen in shapes[column]), key=lambda seen: seen.line)
        currency = currency_of(seen, relation.where(priced[0])) if priced else None
    for column in numeric:
        spent = currency if column in PRICES else None
        form = find_form(shapes[column], mapping.decimal, mapping.thousands, spent, relation.where(column))
        forms[column] = form
        if not form.plain and (mapping.decimal is None or mapping.thousands is None):
            notes.append(f"{column}: numbers are written {form.example}")
    return forms, notes


def find(relation: Relation, rows: str, forms: Mapping[str, NumberForm], notes: list[str]) -> Findings:
    """Everything else, of the rows of a view or table."""
    mapping = relation.mapping
    paths = {column: _paths(relation, rows, column) for column in mapping.split}
    labels, told = _labels(relation, rows, paths)
    keys = [column for column in relation.given() if is_key(column)]
    key = KEY.get(mapping.table)
    own = key if mapping.table == "products" and key in keys and mapping.ids != "counted" else None
    return Findings(
        forms=forms,
        labels=labels,
        paths={column: {path: levels for path, levels, _ in found} for column, found in paths.items()},
        keys=frozenset(keys),
        integers=frozenset(column for column in keys if _all_integers(relation, rows, column)),
        repeated=frozenset(_repeated(relation, rows, key)) if key and mapping.ids != "counted" else frozenset(),
        currency=next((forms[column].currency for column in PRICES if column in forms), None),
        notes=(*notes, *told, *(twin_ids(relation, rows, own) if own else ())),
        warnings=(
            *(rounded_ids(relation, rows, own) if own else ()),
            *(line for column in keys for line in decimal_ids(relation, rows, column)),
        ),
    )


_Paths = list[tuple[str, tuple[str | None, ...], int]]


def _shapes(relation: Relation, column: str) -> list[Seen]:
    value = relation.expression(column)
    found = relation.query(
        f"SELECT arg_min(value, {LINE}), min({LINE}), count(*) FROM (SELECT {LINE}, {value} AS value FROM {KEPT}) "
        f"WHERE value IS NOT NULL GROUP BY {shape_of('value')} ORDER BY 2"
    )
    return [Seen(*row) for row in found]


def _counted(relation: Relation, rows: str, value: str) -> list[tuple[str, int]]:
    """Distinct values with their number of rows, in the order of the file."""
    query = f"SELECT value, count(*), min({LINE}) FROM (SELECT {LINE}, {value} AS value FROM {rows}) "
    found = relation.query(f"{query} WHERE value IS NOT NULL GROUP BY value ORDER BY 3, 1")
    return [(str(label), int(count)) for label, count, _ in found]


def _paths(relation: Relation, rows: str, column: str) -> _Paths:
    split = relation.mapping.split[column]
    missing = {mark.strip() for mark in relation.mapping.missing}
    found = []
    for path, count in _counted(relation, rows, name(column)):
        levels = (level if level not in missing else None for level in split_path(path, split))
        found.append((path, tuple(levels), count))
    return found


def _labels(relation: Relation, rows: str, paths: Mapping[str, _Paths]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """What each label becomes, and what must be told."""
    mapping = relation.mapping
    counted = {column: _counted(relation, rows, relation.expression(column)) for column in relation.given() if column in LABELS}
    for column, found in paths.items():
        for level, ours in enumerate(mapping.split[column].into):
            if ours in LABELS:
                counts = Counter[str]()
                for _, levels, count in found:
                    if (label := _valued(mapping, ours, levels[level])) is not None:
                        counts[label] += count
                counted[ours] = list(counts.items())
    if not mapping.fold:
        return {}, []
    folded = {column: fold(found) for column, found in counted.items()}
    notes = [note for column, folding in folded.items() if (note := folding.note(column)) is not None]
    return {column: dict(folding.becomes) for column, folding in folded.items()}, notes


def _valued(mapping: ImportMapping, column: str, value: str | None) -> str | None:
    """A value after `values` of the mapping."""
    return None if value is None else mapping.values.get(column, {}).get(value, value)


def _all_integers(relation: Relation, rows: str, column: str) -> bool:
    value = relation.expression(column)
    query = f"SELECT bool_and(regexp_full_match(value, {text(_PLAIN_ID)})) FROM (SELECT {value} AS value FROM {rows})"
    return bool(relation.query(query)[0][0])


def _repeated(relation: Relation, rows: str, key: str) -> list[str]:
    value = relation.expression(key)
    found = relation.query(
        f"SELECT value FROM (SELECT {value} AS value FROM {rows}) WHERE value IS NOT NULL GROUP BY value HAVING count(*) > 1"
    )
    return [str(row[0]) for row in found]
