"""Which products and reviews are trained on, chosen by, and tested on."""

from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from catalog.errors import CatalogueError
from configs.schema import SplitConfig


def split_products(products: pd.DataFrame, config: SplitConfig) -> "pd.Series[Any]":
    """`train`, `validation` or `test` for each product, indexed as `products`.

    By hash, a product's part depends on its id and the salt alone, so adding rows moves none. By time, the newest
    `test` share of products is test and the newest of the rest is validation; products listed at the same instant stay together.

    Raises:
        CatalogueError: a split by time where listed_at is missing.
    """
    return _parts(by_hash(products["product_id"], config) if config.by == "hash" else _by_time(products), products.index, config)


def split_reviews(reviews: pd.DataFrame, config: SplitConfig) -> "pd.Series[Any]":
    """`train`, `validation` or `test` for each review, indexed as `reviews`: by hash of review_id, whatever `config.by` says.

    Reviews carry no date; shares and salt are those of the products.
    """
    return _parts(by_hash(reviews["review_id"], config), reviews.index, config)


def _parts(position: np.ndarray[Any, Any], index: "pd.Index[Any]", config: SplitConfig) -> "pd.Series[Any]":
    first_test = round(1.0 - config.test, 9)  # 1 - 0.2 - 0.2 is above 0.6
    first_validation = round(1.0 - config.test - config.validation, 9)
    parts = np.select([position >= first_test, position >= first_validation], ["test", "validation"], "train")
    return pd.Series(parts, index=index, name="split", dtype=object)


def by_hash(keys: "pd.Series[Any]", config: SplitConfig) -> np.ndarray[Any, Any]:
    """A number in [0, 1) for each key, the same for 5 and "5"."""
    prefix = f"{config.salt}:"
    digests = b"".join(blake2b(f"{prefix}{key}".encode(), digest_size=8).digest() for key in keys.tolist())
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def _by_time(products: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Share of products that are older, in [0, 1)."""
    listed = products["listed_at"] if "listed_at" in products else pd.Series(pd.NaT, index=products.index)
    missing = int(listed.isna().sum())
    if missing:
        raise CatalogueError(f"split.by = 'time' needs listed_at, missing in {missing} of {len(products)} products; or: hash")
    older = listed.rank(method="min").to_numpy(dtype=np.float64) - 1.0
    return older / max(len(products), 1)
