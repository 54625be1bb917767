"""What the recommender knows of items beside who bought them: attributes, categories, prices, and vectors of their content.

Shapes: I items, A attributes, d dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack

from catalog.catalogue import Catalogue
from catalog.listing import CATEGORY_LEVELS
from configs.errors import VitrinaError
from models.arrays import State, csr_restored, csr_state
from models.recommender.answers import Key
from models.recommender.neighbours import CELLS_A_CHUNK, largest, without_diagonal
from models.recommender.readings import Floats

DESCRIBED_BY = ("brand", "article_type", "sub_category", "base_colour", "gender", "usage", "season")
"""Columns of products whose values are attributes of the item."""

_MISSING = ("", "NA")


@dataclass(frozen=True)
class Items:
    """The catalogue's items, in the order of their codes.

    Attributes:
        keys: As the catalogue names them.
        attributes: float32 [I, A], 1 where an item has an attribute.
        names: Of the attributes, readable.
        categories: Values by category level, each [I] with "" where it is missing; no levels without a products table.
        titles: [I], "" where there is none.
        prices: float64 [I] in the catalogue's currency, to the cent, NaN where missing.
        buyers: float32 [I], training users who bought it.
    """

    keys: tuple[Key, ...]
    attributes: csr_matrix
    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    titles: tuple[str, ...]
    prices: NDArray[np.float64]
    buyers: Floats

    @classmethod
    def of(cls, catalogue: Catalogue, keys: Sequence[Any], buyers: Floats) -> "Items":
        """Items `keys`, described by what the catalogue's tables say of them."""
        code = pd.Series(np.arange(len(keys)), index=[str(key) for key in keys])
        pairs = [_listed(catalogue, code), _described(catalogue, code)]
        known = pd.concat(pairs, ignore_index=True).drop_duplicates()
        index, names = pd.factorize(known["attribute"], sort=True)
        ones = np.ones(len(known), dtype=np.float32)
        attributes = csr_matrix((ones, (known["item"].to_numpy(dtype=np.int64), index)), shape=(len(keys), len(names)))
        categories, titles, prices = _bounds(catalogue, code)
        plain = tuple(key.item() if isinstance(key, np.generic) else key for key in keys)
        return cls(plain, attributes, tuple(map(str, names)), categories, titles, prices, buyers.astype(np.float32))

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """Code of each key, as text."""
        return {str(key): code for code, key in enumerate(self.keys)}

    @cached_property
    def popularity(self) -> Floats:
        """Share of the items [I] that were bought by fewer users."""
        found: Floats = (np.searchsorted(np.sort(self.buyers), self.buyers) / max(1, len(self))).astype(np.float32)
        return found

    @cached_property
    def weighted(self) -> csr_matrix:
        """Attributes [I, A] by how rare they are, rows of unit length: their inner products are cosines."""
        rows = np.maximum(np.asarray(self.attributes.sum(axis=0)).ravel(), 1.0)
        found = (self.attributes @ diags(np.log1p(len(self) / rows))).tocsr()
        length = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        unit: csr_matrix = (diags(1.0 / np.maximum(length, 1e-9)) @ found).tocsr().astype(np.float32)
        return unit

    def alike(self, keep: int) -> csr_matrix:
        """Cosines of attributes [I, I] without the diagonal, the `keep` largest of each row."""
        unit, turned = self.weighted, self.weighted.T.tocsr()
        step = max(1, CELLS_A_CHUNK // max(1, len(self)))
        rows = [
            largest(without_diagonal((unit[start : start + step] @ turned).tocsr(), start), keep)
            for start in range(0, len(self), step)
        ]
        return vstack(rows, format="csr")

    def title(self, code: int) -> str:
        """What an item is called, for a person."""
        return self.titles[code] or f"item {self.keys[code]}"

    def price(self, code: int) -> float | None:
        """What an item cost when the version was trained; None where the catalogue does not say."""
        price = float(self.prices[code])
        return None if np.isnan(price) else price

    def article_type(self, code: int) -> str | None:
        """The lowest category level of an item; None where the catalogue does not say."""
        types = self.categories.get("article_type")
        return (types[code] or None) if types else None

    def shared(self, first: int, second: int) -> tuple[str, ...]:
        """Names of the attributes that two items have in common, the rarest first."""
        of = self.attributes
        own, other = (of.indices[of.indptr[code] : of.indptr[code + 1]] for code in (first, second))
        both = np.intersect1d(own, other)
        return tuple(self.names[a] for a in both[np.argsort(self._carriers[both], kind="stable")])

    @cached_property
    def _carriers(self) -> NDArray[np.int64]:
        """How many items [A] have an attribute."""
        return np.bincount(self.attributes.indices, minlength=self.attributes.shape[1])

    def allowed(self, categories: Sequence[str], price_min: float | None, price_max: float | None) -> NDArray[np.bool_]:
        """Items [I] within the bounds.

        Raises:
            VitrinaError: a bound on categories or prices that the catalogue does not know.
        """
        mask = np.ones(len(self), dtype=bool)
        if categories:
            levels = [np.asarray(values, dtype=object) for values in self.categories.values()]
            known = set().union(*(set(values) for values in self.categories.values())) - {""}
            if unknown := [name for name in categories if name not in known]:
                told = "this version's catalogue has no categories" if not known else "it is no category of this version"
                raise VitrinaError(f"category {unknown[0]!r} is not known: {told}")
            mask &= np.any([np.isin(values, categories) for values in levels], axis=0)
        if price_min is not None or price_max is not None:
            if np.isnan(self.prices).all():
                raise VitrinaError("price_min and price_max: this version's catalogue has no prices")
            low, high = price_min if price_min is not None else 0.0, price_max if price_max is not None else np.inf
            with np.errstate(invalid="ignore"):
                mask &= (self.prices >= low) & (self.prices <= high)
        return mask

    def state(self) -> tuple[State, dict[str, Any]]:
        """Arrays, and what JSON holds."""
        arrays = csr_state("attributes", self.attributes) | {"prices": self.prices, "buyers": self.buyers}
        return arrays, {"keys": self.keys, "names": self.names, "categories": self.categories, "titles": self.titles}

    @classmethod
    def restore(cls, arrays: Mapping[str, NDArray[Any]], described: Mapping[str, Any]) -> Self:
        """The items that `state` was taken of."""
        attributes = csr_restored("attributes", arrays, columns=len(described["names"]))
        categories = {level: tuple(values) for level, values in described["categories"].items()}
        names, titles = tuple(described["names"]), tuple(described["titles"])
        prices = arrays["prices"].astype(str).astype(np.float64)  # 19.99 is 19.99 also where a bundle holds it as float32
        return cls(tuple(described["keys"]), attributes, names, categories, titles, prices, arrays["buyers"])


def item_keys(catalogue: Catalogue, *more: "pd.Series[Any]") -> list[Key]:
    """Every item that any table or `more` names, in ascending order; text where any is."""
    found = [series.dropna() for series in more]
    for table, column in (("products", "product_id"), ("item_attributes", "item_id"), ("embeddings", "product_id")):
        if table in catalogue.tables():
            found.append(_plain(catalogue.read(table, [column])[column].dropna()))
    if all(pd.api.types.is_integer_dtype(series) for series in found):
        return [int(key) for key in np.unique(np.concatenate([series.to_numpy(dtype=np.int64) for series in found]))]
    return sorted(set().union(*(set(series.astype(str)) for series in found)))


def _plain(keys: "pd.Series[Any]") -> "pd.Series[Any]":
    """Keys as whole numbers where they are numbers written as text."""
    if pd.api.types.is_integer_dtype(keys) or not keys.astype(str).str.fullmatch(r"0|[1-9][0-9]{0,17}").all():
        return keys
    return keys.astype(str).astype(np.int64)


def _listed(catalogue: Catalogue, code: "pd.Series[Any]") -> pd.DataFrame:
    """Pairs of `item_attributes`."""
    if "item_attributes" not in catalogue.tables():
        return pd.DataFrame({"item": [], "attribute": []})
    table = catalogue.read("item_attributes", ["item_id", "attribute_id"]).dropna()
    names = "attribute " + table["attribute_id"].astype(str)
    return pd.DataFrame({"item": table["item_id"].astype(str).map(code), "attribute": names}).dropna()


def _described(catalogue: Catalogue, code: "pd.Series[Any]") -> pd.DataFrame:
    """Pairs from the columns of `products`."""
    if "products" not in catalogue.tables():
        return pd.DataFrame({"item": [], "attribute": []})
    products = catalogue.products().drop_duplicates("product_id")
    long = products.melt("product_id", [name for name in DESCRIBED_BY if name in products], "column", "value").dropna()
    long = long[~long["value"].astype(str).str.strip().isin(_MISSING)]
    names = long["column"].str.replace("_", " ") + " " + long["value"].astype(str)
    return pd.DataFrame({"item": long["product_id"].astype(str).map(code), "attribute": names}).dropna()


def _bounds(
    catalogue: Catalogue, code: "pd.Series[Any]"
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...], NDArray[np.float64]]:
    """Categories, titles and prices by item."""
    if "products" not in catalogue.tables():
        return {}, ("",) * len(code), np.full(len(code), np.nan)
    products = catalogue.products().drop_duplicates("product_id")
    products = products.set_index(products["product_id"].astype(str)).reindex(code.index)
    levels = {name: _said(products[name]) for name in CATEGORY_LEVELS}
    prices = products["price"].where((products["price"] > 0) & np.isfinite(products["price"])).to_numpy(dtype=np.float64)
    return levels, _said(products["title"]), prices


def _said(column: "pd.Series[Any]") -> tuple[str, ...]:
    """A column's texts, "" where one says nothing."""
    texts = column.fillna("").astype(str)
    return tuple(texts.mask(texts.str.strip().isin(_MISSING), ""))
