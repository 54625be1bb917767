"""Pages of the products that are shown, in the order of their ids: the same whichever worker answers.

A page begins after an id, whether that product is still there or not: none is left out or comes twice because others changed.
"""

import heapq
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class Wanted:
    """Which products a page holds.

    Attributes:
        words: Each of which the title has, in small or capital letters, as a part of a word too.
        article_type: As the catalogue writes it; None: all.
    """

    words: tuple[str, ...] = ()
    article_type: str | None = None

    def within(self, products: pa.Table) -> NDArray[np.bool_]:
        """Rows [n] of an index that are."""
        rows = np.arange(products.num_rows)
        if self.article_type is not None:
            rows = rows[np.asarray(pc.fill_null(pc.equal(products["article_type"], self.article_type), False))]
        titles = products["title"].take(pa.array(rows))
        for word in dict.fromkeys(word.lower() for word in self.words):
            found = pc.fill_null(pc.match_substring(pc.utf8_lower(titles), word), False)
            rows, titles = rows[np.asarray(found)], titles.filter(found)  # the next word is looked for in what is left
        mask = np.zeros(products.num_rows, dtype=bool)
        mask[rows] = True
        return mask

    def fits(self, told: Mapping[str, Any]) -> bool:
        """Whether a product that a client put is; by column of `serving.search.index.COLUMNS`."""
        title = (told["title"] or "").lower()
        return all(word.lower() in title for word in self.words) and self.article_type in (None, told["article_type"])


class Listed:
    """What pages are made of.

    Args:
        names: Ids of the index, by row.
        products: Rows of the index; None where there is none.
        named: An id as the catalogue writes it: numbers come by their size, before all text.

    Attributes:
        put: Products that clients put and that are shown, by id.
    """

    def __init__(self, names: Sequence[str], products: pa.Table | None, named: Callable[[str], int | str]) -> None:
        self._names, self._products, self._named = names, products, named
        self.put: dict[str, Mapping[str, Any]] = {}

    def page(self, shown: NDArray[np.bool_], wanted: Wanted, after: str | None, limit: int) -> list[str]:
        """At most `limit` ids that come after one; `shown` says of the rows [n] of the index whether it is to be had."""
        own: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        if self._products is not None:
            start = 0 if after is None else bisect_right(self._order, self._place(after), key=self._of_row)
            rows = self._order[start:]
            own = rows[(shown & wanted.within(self._products))[rows]][:limit]
        later = [name for name, told in self.put.items() if wanted.fits(told)]
        if after is not None:
            later = [name for name in later if self._place(name) > self._place(after)]
        found = [*(self._names[row] for row in own), *heapq.nsmallest(limit, later, key=self._place)]
        return sorted(found, key=self._place)[:limit]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """Rows of the index in the order of their ids."""
        return np.array(sorted(range(len(self._names)), key=self._of_row), dtype=np.int64)

    def _of_row(self, row: int) -> tuple[bool, Any]:
        return self._place(self._names[row])

    def _place(self, product_id: str) -> tuple[bool, Any]:
        name = self._named(product_id)
        return isinstance(name, str), name
