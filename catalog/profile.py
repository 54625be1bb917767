"""What a delivery is like, in figures that fit beside a model, and what changed since another one.

Categories and brands are counted as they are written, and shares of what is missing are of all products.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from pydantic import Field

from catalog.catalogue import Catalogue
from configs.schema import StrictModel

COUNTED = ("article_type", "brand")
"""Columns whose values are counted."""
WATCHED = ("title", "description", "brand", "article_type", "base_colour", "price")
"""Columns of which the share that is missing is taken; and `photo`."""
MOST = 5000
"""Values of a column that are kept; of more no value is called new or gone."""
NAMED = 3
"""New or gone values that are named."""
SHARE, LEVEL, SIZE = 0.02, 0.10, 0.20
"""Changes that may change answers: of a share, in points; of the median price; of the number of products."""
_LABELS = {"article_type": "article type", "base_colour": "colour"}


class Profile(StrictModel):
    """Of one delivery."""

    fingerprint: str = Field(description="of the catalogue")
    rows: dict[str, int] = Field(description="rows by table, products without repeated ids")
    missing: dict[str, float] = Field(description="share of the products that lack a column, by its name; photo: that have none")
    values: dict[str, dict[str, int]] = Field(description="products by value, of some columns, most frequent first")
    price: tuple[float, float, float] | None = Field(description="5 %, 50 % and 95 % quantile; None where no product has one")


def profile(catalogue: Catalogue, fingerprint: str) -> Profile:
    """Of a catalogue with this fingerprint.

    Raises:
        CatalogueError: a table cannot be read.
    """
    tables = [table for table in catalogue.tables() if table != "images"]
    rows = {table: catalogue.rows(table) for table in tables}
    if "products" not in tables:
        return Profile(fingerprint=fingerprint, rows=rows, missing={}, values={}, price=None)
    products = catalogue.products().dropna(subset="product_id").drop_duplicates("product_id")
    rows["products"] = len(products)
    said = {name: _said(products[name]) for name in (*WATCHED, *COUNTED)}
    missing = {name: _share(said[name].isna()) for name in WATCHED}
    if "images" in catalogue.tables():
        pictured = set(catalogue.keys("images", "product_id").dropna().astype(str))
        missing["photo"] = _share(~products["product_id"].astype(str).isin(pictured))
    values = {name: {str(v): int(n) for v, n in said[name].value_counts().head(MOST).items()} for name in COUNTED}
    prices = products["price"][products["price"] > 0]
    levels = tuple(float(prices.quantile(q)) for q in (0.05, 0.5, 0.95)) if len(prices) else None
    return Profile(fingerprint=fingerprint, rows=rows, missing=missing, values=values, price=levels)


def told(now: Profile) -> Iterator[str]:
    """What a delivery is like, a phrase each."""
    if products := now.rows.get("products"):
        kinds = [f"{len(now.values[name]):,} {_label(name)}s" for name in COUNTED if now.values.get(name)]
        yield ", ".join([f"{products:,} products", *kinds])
    if now.price is not None:
        yield f"median price {now.price[1]:,.0f}, most between {now.price[0]:,.0f} and {now.price[2]:,.0f}"
    others = [f"{count:,} {table.replace('_', ' ')}" for table, count in now.rows.items() if table != "products"]
    if others:
        yield ", ".join(others)
    for name, share in sorted(now.missing.items(), key=lambda item: -item[1]):
        if share >= SHARE:
            yield f"{share:.0%} without {_label(name)}"


def changes(now: Profile, before: Profile) -> Iterator[tuple[str, bool]]:
    """What changed between two deliveries, a phrase each, and whether it may change answers."""
    yield from _grown("products", now, before)
    for name in COUNTED:
        yield from _moved(name, now.values.get(name, {}), before.values.get(name, {}))
    if now.price is not None and before.price is not None and now.price[1] != before.price[1]:
        new_price, old_price = now.price[1], before.price[1]
        moved = f"median price {old_price:,.0f} → {new_price:,.0f}{_by(new_price, old_price)}"
        yield moved, _apart(new_price, old_price, LEVEL)
    shares = {name: (now.missing.get(name, 1.0), before.missing.get(name, 1.0)) for name in {**now.missing, **before.missing}}
    for name, (new_share, old_share) in sorted(shares.items(), key=lambda item: -abs(item[1][0] - item[1][1])):
        if abs(new_share - old_share) >= SHARE:
            yield f"without {_label(name)}: {old_share:.0%} → {new_share:.0%}", True
    for table in dict.fromkeys((*now.rows, *before.rows)):
        if table != "products":
            yield from _grown(table, now, before)


def _grown(table: str, now: Profile, before: Profile) -> Iterator[tuple[str, bool]]:
    new, old = now.rows.get(table, 0), before.rows.get(table, 0)
    if new != old:
        yield f"{old:,} → {new:,} {table.replace('_', ' ')}{_by(new, old)}", _apart(new, old, SIZE)


def _moved(name: str, now: Mapping[str, int], before: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    if max(len(now), len(before)) >= MOST:
        return
    for what, here, there in (("new", now, before), ("gone", before, now)):
        found = [value for value in here if value not in there]
        if found:
            products = sum(here[value] for value in found)
            named = ", ".join(found[:NAMED]) + (", …" if len(found) > NAMED else "")
            yield f"{len(found)} {what} {_label(name)}{'s' * (len(found) > 1)} ({products:,} products): {named}", True


def _said(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column where it says something."""
    if pd.api.types.is_numeric_dtype(column):
        return column.where(column > 0)
    texts = column.astype("string").str.strip()
    return texts.mask(texts.isin(["", "NA"]))


def _share(flags: "pd.Series[bool]") -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _label(name: str) -> str:
    return _LABELS.get(name, name)


def _by(new: float, old: float) -> str:
    return f" ({new / old - 1:+.0%})" if old else ""


def _apart(new: float, old: float, much: float) -> bool:
    return not old or abs(new / old - 1) >= much
