"""Products in rows: their vectors, and which rows a filter leaves.

Shapes: n rows, d dimensions, q queries, r rows of some of the products.
"""

import json
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.listing import CATEGORY_LEVELS
from serving.search.index import COLUMNS, Index

CATEGORY, BRAND, ATTRIBUTE = "category", "brand", "attribute"
"""Kinds of values; that of an attribute goes with its name."""
FIRST = 64
"""Rows that an empty shelf has room for."""

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Filters:
    """What products must be to be answered; every one of them that is there must hold.

    Attributes:
        categories: One of these values, on any level; empty: all.
        brands: One of these; empty: all.
        price_min: Cheaper products, and those without a price, are left out.
        price_max: Dearer products, and those without a price, are left out.
        attributes: Name, and the values of which a product has one.
    """

    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def conditions(self) -> list[list[tuple[str, ...]]]:
        """Values, as a shelf knows them, of which a product has one: a list a condition."""
        said: list[list[tuple[str, ...]]] = [
            [(CATEGORY, value) for value in self.categories],
            [(BRAND, value) for value in self.brands],
        ]
        said += [[(ATTRIBUTE, name, value) for value in values] for name, values in self.attributes]
        return [values for values in said if values]


class Shelf:
    """Products by row.

    Attributes:
        rows: Row of each product that is there, by its id as text.
    """

    def __init__(self, dimensions: int) -> None:
        self.rows: dict[str, int] = {}
        self._used = 0
        self._vectors: NDArray[np.float16] | Floats = np.zeros((FIRST, dimensions), dtype=np.float32)
        self._there, self._prices = np.zeros(FIRST, dtype=bool), np.full(FIRST, np.nan)
        self._carriers: defaultdict[tuple[str, ...], array[int]] = defaultdict(lambda: array("i"))
        self._told: pa.Table | list[Mapping[str, Any]] = []

    @classmethod
    def of(cls, index: Index) -> Self:
        """The products of an index."""
        shelf = cls(index.spec.dimensions)
        columns = {name: index.products.column(name).to_pylist() for name in COLUMNS if name != "title"}
        keys = [str(key) for key in columns["product_id"]]
        shelf.rows = {key: row for row, key in enumerate(keys)}
        shelf._used, shelf._vectors, shelf._told = len(keys), index.vectors, index.products
        shelf._there = np.ones(len(keys), dtype=bool)
        shelf._prices = np.array([np.nan if price is None else price for price in columns["price"]])
        for row, values in enumerate(zip(*(columns[name] for name in ("brand", *CATEGORY_LEVELS, "attributes")), strict=True)):
            shelf._carry(row, values[0], values[1:-1], json.loads(values[-1]))
        return shelf

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return int(self._vectors.shape[1])

    @property
    def whole(self) -> bool:
        """Whether every row is a product that is there."""
        return len(self.rows) == self._used

    def put(self, product_id: str, facts: Mapping[str, Any], vector: Floats) -> None:
        """Add a product, or replace it; `facts` are those of `serving.search.index.facts`."""
        self.remove(product_id)
        if self._used == len(self._there):
            self._make_room()
        row, self._used = self._used, self._used + 1
        self._vectors[row], self._there[row] = vector, True
        self._prices[row] = np.nan if facts["price"] is None else facts["price"]
        self._carry(row, facts["brand"], [facts[level] for level in CATEGORY_LEVELS], json.loads(facts["attributes"]))
        assert isinstance(self._told, list)
        self._told.append(facts)
        self.rows[product_id] = row

    def _make_room(self) -> None:
        """Twice the rows; where half of them are empty, only their places are taken again, and products move."""
        if 2 * len(self.rows) > self._used:
            self._there, self._prices, self._vectors = (_doubled(held) for held in (self._there, self._prices, self._vectors))
            return
        anew = type(self)(self.dimensions)
        for product_id, row in self.rows.items():
            anew.put(product_id, self._told[row], self.vector(row))
        vars(self).update(vars(anew))

    def remove(self, product_id: str) -> None:
        """Empty a product's row; nothing where there is none."""
        row = self.rows.pop(product_id, None)
        if row is not None:
            self._there[row] = False

    def restore(self, product_id: str, row: int) -> None:
        """Put a product of an index back into the row that it had."""
        self.rows[product_id], self._there[row] = row, True

    def _carry(self, row: int, brand: str | None, categories: Sequence[str | None], attributes: Mapping[str, str]) -> None:
        carried: list[tuple[str, ...]] = [(ATTRIBUTE, name, value) for name, value in attributes.items()]
        carried += [(CATEGORY, value) for value in dict.fromkeys(categories) if value]
        for key in (*carried, *([(BRAND, brand)] if brand else [])):
            self._carriers[key].append(row)

    def within(self, filters: Filters) -> NDArray[np.bool_]:
        """Rows [n] of products that are there and pass."""
        mask = self._there[: self._used].copy()
        for values in filters.conditions:
            carrying = np.zeros(self._used, dtype=bool)
            for value in values:
                if value in self._carriers:
                    carrying[np.array(self._carriers[value])] = True
            mask &= carrying
        if filters.price_min is not None or filters.price_max is not None:
            prices = self._prices[: self._used]
            low, high = filters.price_min or 0.0, np.inf if filters.price_max is None else filters.price_max
            mask &= (prices >= low) & (prices <= high)  # a missing price is NaN, which is neither
        return mask

    def vector(self, row: int) -> Floats:
        """Of one product [d]."""
        found: Floats = self._vectors[row].astype(np.float32)
        return found

    def cosines(self, queries: Floats, rows: Rows | None) -> Floats:
        """Of unit `queries` [q, d] and the products of `rows`, of all without them: [q, r]."""
        vectors = self._vectors[: self._used] if rows is None else self._vectors[rows]
        found: Floats = queries @ vectors.astype(np.float32, copy=False).T
        return found

    def tell(self, rows: Sequence[int]) -> list[Mapping[str, Any]]:
        """What is known of products, by column of `serving.search.index.COLUMNS`; those of an index have their product_id."""
        if isinstance(self._told, list):
            return [self._told[row] for row in rows]
        found: list[Mapping[str, Any]] = self._told.take(pa.array(rows, pa.int64())).to_pylist()
        return found


def _doubled(held: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([held, np.zeros_like(held)])
