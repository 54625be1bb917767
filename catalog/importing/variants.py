# ruff: noqa: S608 (names and values are quoted by catalog.importing.sql)
"""Several rows that are one product: its sizes and colours, grouped by a shared value or by the parent that they name.

The rows of a product need not follow one another. A cell of the product is that of its first row (of the parent, where there is
one), or of the next that has one; its price is the lowest of its variants', its discounted price that of the same variant.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from catalog.importing.findings import PRICES, is_whole
from catalog.importing.mapping import VariantsMapping
from catalog.importing.numbers import NumberForm, explain
from catalog.importing.quarantine import REPEATED, Fault, Quarantine
from catalog.importing.relation import KEPT, ROW, Relation
from catalog.importing.source import LINE
from catalog.importing.sql import name, text, trimmed

GROUPED, PRODUCTS = "grouped", "grouped_products"
"""Tables: the rows with the product that each belongs to; a row a product, with the columns of `KEPT`."""

KEY, OPTIONS, PHOTOS = "__key", "__options", "__photos"
"""Columns of both: the product; its options as structs of name and value; its photos as texts."""

FAULTY = "__faulty"
"""Column of the first: whether the row is in quarantine. It still says what its product is called, where others are not."""

_VARIANT = "__variant"
_ROWS, _OPTED, _OUT = "grouped_rows", "grouped_options", "grouped_out"
_TOP, _TOP_KEY, _OWN = "__top", "__top_key", "__own"
_NOTHING = {("Title", "Default Title")}
"""What a shop system writes as the option of a product that has none."""

_LATER = 10**15  # more than the rows of any file
_BATCH = 50_000


def number(column: str) -> str:
    """Column of both tables with a number of ours, read already."""
    return f"__number_{column}"


def group(
    relation: Relation, variants: VariantsMapping, forms: Mapping[str, NumberForm], photos: str, quarantine: Quarantine
) -> None:
    """Make both tables.

    Args:
        relation: The rows.
        variants: How they belong together.
        forms: Of the columns with numbers.
        photos: SQL for a row's photos, a list of texts.
        quarantine: Takes the rows that belong to no product, and those with a number that cannot be read.

    Raises:
        CatalogueError: a number cannot be read, and the mapping refuses the file for it.
    """
    connection = relation.source.connection
    numbers = [f"{_number(relation, column, form)} AS {number(column)}" for column, form in forms.items()]
    own = "NULL" if variants.parent is None else _own(relation)
    given = ["k.*", f"{own} AS {_OWN}", f"{_key(relation, variants)} AS {KEY}", f"{photos} AS {PHOTOS}", *numbers]
    tops = (
        ""
        if variants.parent is None
        else f"LEFT JOIN ({_tops(relation, variants.parent)}) t ON {_TOP} = {_named(variants.parent)}"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_ROWS} AS SELECT {', '.join(given)} FROM {KEPT} k {tops}")
    _take_out_orphans(relation, variants, quarantine)
    faulty = _unreadable(relation, forms, quarantine)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {_OPTED} AS SELECT *, {_options(relation)} AS {OPTIONS} FROM {_ROWS}")
    variant = f"NOT {FAULTY} AND coalesce({_is_variant(relation, variants, forms)}, false) AS {_VARIANT}"
    with _places(relation, faulty) as out:
        marked = f"SELECT *, {ROW} IN (SELECT place FROM {out}) AS {FAULTY} FROM {_OPTED}"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {GROUPED} AS SELECT *, {variant} FROM ({marked})")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {PRODUCTS} AS {_products(relation, variants, forms)}")
    connection.execute(f"DROP TABLE {_ROWS}")
    connection.execute(f"DROP TABLE {_OPTED}")


def variant_rows(relation: Relation, variants: VariantsMapping, priced: bool, left_out: Collection[str]) -> Iterator[pa.Table]:
    """product_id and variant_id (text), options (a JSON object) and price of each variant, product by product, in batches."""
    own = "NULL" if variants.parent is None else f"g.{_OWN}"
    own = own if variants.id is None else f"coalesce({trimmed(f'g.{name(variants.id)}')}, {own})"
    counted = f"p.__product || '-' || row_number() OVER (PARTITION BY p.{KEY} ORDER BY g.{ROW})"
    price = f"coalesce(g.{number('price')}, p.__first_price)" if priced else "CAST(NULL AS DOUBLE)"
    product = f"SELECT *, {relation.expression('product_id')} AS __product FROM {PRODUCTS}"
    query = (
        f"SELECT p.{KEY} AS key, p.__product AS product_id, coalesce({own}, {counted}) AS variant_id, g.{OPTIONS} AS options, "
        f"{price} AS price FROM {GROUPED} g JOIN ({product}) p USING ({KEY}) WHERE g.{_VARIANT} "
        f"ORDER BY p.{ROW}, g.{ROW}"
    )
    for batch in relation.source.connection.sql(query).to_arrow_reader(_BATCH):
        rows = pa.table(batch)
        keys = pa.array([key not in left_out for key in rows["key"].to_pylist()])
        rows = rows.filter(keys)
        options = [_as_json(own) for own in rows["options"].to_pylist()]
        yield pa.table(
            {
                "product_id": rows["product_id"],
                "variant_id": rows["variant_id"],
                "options": pa.array(options, pa.string()),
                "price": rows["price"],
            }
        )


def joined(options: list[dict[str, Any]] | None) -> list[tuple[str, str]]:
    """A product's options: each name with its distinct values, joined by a comma in the order of the file."""
    found: dict[str, dict[str, None]] = {}
    for option in options or []:
        if _says(option):
            found.setdefault(option["name"], {})[option["value"]] = None
    return [(option, ", ".join(values)) for option, values in found.items()]


def _as_json(options: list[dict[str, Any]]) -> str:
    return json.dumps({option["name"]: option["value"] for option in options if _says(option)}, ensure_ascii=False)


def _says(option: dict[str, Any]) -> bool:
    return bool(option["name"] and option["value"]) and (option["name"], option["value"]) not in _NOTHING


def _number(relation: Relation, column: str, form: NumberForm) -> str:
    """SQL for a row's number; null where it cannot be read."""
    read = form.expression(relation.expression(column))
    return f"(CASE WHEN {read} = round({read}) THEN {read} END)" if is_whole("products", column) else read


def _options(relation: Relation) -> str:
    """SQL for a row's options: names (where blank those of the product's first row) and values, null where the row has none."""
    inputs = relation.inputs
    fixed = [(text(option), name(column)) for option, column in inputs.options.items()]
    first = f"OVER (PARTITION BY {KEY} ORDER BY {ROW} ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    pairs = [
        (f"coalesce({name(option)}, first_value({name(option)} IGNORE NULLS) {first})", name(column))
        for option, column in inputs.option_pairs
    ]
    structs = [f"{{'name': {trimmed(option)}, 'value': {trimmed(value)}}}" for option, value in [*fixed, *pairs]]
    return f"CAST([{', '.join(structs)}] AS STRUCT(name VARCHAR, value VARCHAR)[])"


def _named(parent: str) -> str:
    return trimmed(f"k.{name(parent)}")


def _own(relation: Relation) -> str:
    return relation.expression("product_id")


def _tops(relation: Relation, parent: str) -> str:
    """SQL for the rows that others may name: each by its id, and by `id:` and its id, as one shop system does."""
    top = f"SELECT {_own(relation)} AS id FROM {KEPT} WHERE {name(parent)} IS NULL OR {trimmed(name(parent))} = {_own(relation)}"
    named = f"SELECT id AS called, id, 0 AS later FROM ({top}) UNION ALL SELECT 'id:' || id, id, 1 FROM ({top})"
    return f"SELECT called AS {_TOP}, arg_min(id, later) AS {_TOP_KEY} FROM ({named}) GROUP BY called"


def _key(relation: Relation, variants: VariantsMapping) -> str:
    """SQL for the product that a row belongs to; null where it belongs to none."""
    if variants.by is not None:
        return trimmed(f"k.{name(variants.by)}")
    assert variants.parent is not None, "the mapping has exactly one of by and parent"
    own = _own(relation)
    return f"CASE WHEN k.{name(variants.parent)} IS NULL OR {_named(variants.parent)} = {own} THEN {own} ELSE {_TOP_KEY} END"


def _take_out_orphans(relation: Relation, variants: VariantsMapping, quarantine: Quarantine) -> None:
    """The rows without a product, and those that are a product a second time."""
    column = variants.by or variants.parent or ""
    found = relation.query(f"SELECT {LINE}, {ROW}, {name(column)} FROM {_ROWS} WHERE {KEY} IS NULL ORDER BY {ROW}")
    faults = [_orphan(line, row, column, value) for line, row, value in found]
    if variants.parent is not None:
        numbered = f"*, first({LINE}) OVER own AS __first_line, row_number() OVER own AS __place"
        top = _top(relation, variants.parent)
        tops = f"SELECT {numbered} FROM {_ROWS} WHERE {top} WINDOW own AS (PARTITION BY {KEY} ORDER BY {ROW})"
        twice = relation.query(f"SELECT {LINE}, {ROW}, {KEY}, __first_line FROM ({tops}) WHERE __place > 1 ORDER BY {ROW}")
        faults += [
            Fault(line, REPEATED, f"product_id {key!r} is that of line {first} too", row)
            for line, row, key, first in twice
            if key
        ]
    with _places(relation, [fault.row for fault in faults]) as out:
        relation.source.connection.execute(f"DELETE FROM {_ROWS} WHERE {ROW} IN (SELECT place FROM {out})")
    quarantine.faults += faults


def _unreadable(relation: Relation, forms: Mapping[str, NumberForm], quarantine: Quarantine) -> set[int]:
    """Places of the rows with a number that cannot be read, unless the mapping says that its value is dropped."""
    faulty: set[int] = set()
    for column, form in forms.items():
        value = relation.expression(column)
        failed = f"{value} IS NOT NULL AND {number(column)} IS NULL"
        for line, row, raw in relation.query(f"SELECT {LINE}, {ROW}, {value} FROM {_ROWS} WHERE {failed} ORDER BY {ROW}"):
            why = explain(raw, form, is_whole("products", column))
            if row not in faulty and not quarantine.unreadable(column, line, row, why):
                faulty.add(row)
    return faulty


@contextmanager
def _places(relation: Relation, rows: Collection[int | None]) -> Iterator[str]:
    """Name of a table with the column place, for as long as the block runs."""
    connection = relation.source.connection
    connection.register(_OUT, pa.table({"place": pa.array(list(rows), pa.int64())}))
    yield _OUT
    connection.unregister(_OUT)


def _orphan(line: int, row: int, column: str, value: str | None) -> Fault:
    if value is None:
        return Fault(line, f"no {column}", f"no {column}", row)
    return Fault(line, "the parent is missing", f"{column} names {value!r}, which is no product of this file", row)


def _top(relation: Relation, parent: str) -> str:
    return f"({name(parent)} IS NULL OR {trimmed(name(parent))} = {_own(relation)})"


def _is_variant(relation: Relation, variants: VariantsMapping, forms: Mapping[str, NumberForm]) -> str:
    """SQL: a row that names a parent; without parents one that has an option, a price or an id, not a further photo alone."""
    if variants.parent is not None:
        return f"NOT {_top(relation, variants.parent)}"
    said = [f"{number('price')} IS NOT NULL"] if "price" in forms else []
    said += [f"{name(variants.id)} IS NOT NULL"] if variants.id else []
    if relation.inputs.options or relation.inputs.option_pairs:
        said.append(f"len(list_filter({OPTIONS}, lambda o: o.value IS NOT NULL)) > 0")
    return " OR ".join(said) or "true"


def _products(relation: Relation, variants: VariantsMapping, forms: Mapping[str, NumberForm]) -> str:
    """SQL for a row a product; a row that is at fault still says what its product is called, where others are not at fault."""
    rank = ROW if variants.parent is None else f"CASE WHEN {_VARIANT} THEN {_LATER} ELSE 0 END + {ROW}"
    cells = [f"arg_min({name(c)}, {rank}) FILTER ({name(c)} IS NOT NULL) AS {name(c)}" for c in relation.used()]
    numbers = [f"arg_min({number(c)}, {rank}) FILTER ({number(c)} IS NOT NULL) AS {number(c)}" for c in forms if c not in PRICES]
    named = f"flatten(list({OPTIONS} ORDER BY {rank})"
    return (
        f"SELECT {KEY}, arg_min({LINE}, {rank}) AS {LINE}, min({ROW}) AS {ROW}, "
        f"{named} FILTER ({_VARIANT})) AS {OPTIONS}, flatten(list({PHOTOS} ORDER BY {rank})) AS {PHOTOS}, "
        f"{', '.join([*cells, *numbers, *_prices(forms, rank)])} FROM {GROUPED} "
        f"GROUP BY {KEY} HAVING NOT bool_and({FAULTY}) ORDER BY min({ROW})"
    )


def _prices(forms: Mapping[str, NumberForm], rank: str) -> list[str]:
    """The lowest price of the variants, the discounted one of the same, and the price of the first row."""
    found = []
    if "price" in forms:
        price = number("price")
        found.append(f"coalesce(min({price}) FILTER ({_VARIANT}), min({price}) FILTER (NOT {FAULTY})) AS {price}")
        found.append(f"arg_min({price}, {rank}) FILTER ({price} IS NOT NULL) AS __first_price")
    if "discounted_price" in forms:
        discounted = number("discounted_price")
        by = f"coalesce({number('price')}, 1e300)" if "price" in forms else f"coalesce({discounted}, 1e300)"
        lowest = f"arg_min({{'d': {discounted}}}, ({by}, {ROW}))"
        found.append(f"coalesce({lowest} FILTER ({_VARIANT}), {lowest}).d AS {discounted}")
    return found
