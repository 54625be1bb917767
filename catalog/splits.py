"""Which products are trained on, chosen by, and tested on."""

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
    position = _by_hash(products, config) if config.by == "hash" else _by_time(products)
    first_test = round(1.0 - config.test, 9)  # 1 - 0.2 - 0.2 is above 0.6
    first_validation = round(1.0 - config.test - config.validation, 9)
    parts = np.select([position >= first_test, position >= first_validation], ["test", "validation"], "train")
    return pd.Series(parts, index=products.index, name="split", dtype=object)


def _by_hash(products: pd.DataFrame, config: SplitConfig) -> np.ndarray[Any, Any]:
    """A number in [0, 1) for each product, the same for 5 and "5"."""
    prefix = f"{config.salt}:"
    digests = b"".join(blake2b(f"{prefix}{key}".encode(), digest_size=8).digest() for key in products["product_id"].tolist())
    return (np.frombuffer(digests, dtype="<u8") >> np.uint64(11)).astype(np.float64) / 2.0**53


def _by_time(products: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Share of products that are older, in [0, 1)."""
    listed = products["listed_at"] if "listed_at" in products else pd.Series(pd.NaT, index=products.index)
    missing = int(listed.isna().sum())
    if missing:
        raise CatalogueError(f"split.by = 'time' needs listed_at, missing in {missing} of {len(products)} products; or: hash")
    older = listed.rank(method="min").to_numpy(dtype=np.float64) - 1.0
    return older / max(len(products), 1)
