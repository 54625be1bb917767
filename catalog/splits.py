"""Which products and reviews are trained on, chosen by, and tested on."""

import logging
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from catalog.errors import CatalogueError
from catalog.schema import SPLITS
from configs.schema import SplitConfig

log = logging.getLogger(__name__)

SHOWN = 5
"""Values that an error names, at most."""


def split_products(products: pd.DataFrame, config: SplitConfig) -> "pd.Series[Any]":
    """`train`, `validation` or `test` for each product, indexed as `products`.

    What the column `split` says is kept, of rows with one id what the first says; rows without a value are divided as follows.
    By hash, a product's part depends on its id and the salt alone, so adding rows moves none. By time, the newest `test` share of
    products is test and the newest of the rest is validation; products listed at the same instant stay together.

    Where the column never says validation, or never says test, that part is drawn by hash from the rows that it calls train: as
    large a share of them as the configuration asks for. The log says so.

    Raises:
        CatalogueError: a split by time where listed_at is missing, a value of `split` that is none of `SPLITS`, or no row for
            training.
    """
    said = published(products)
    open_rows = said.isna()
    if open_rows.all():
        return _configured(products, config)
    found = said.copy()
    if open_rows.any():
        found[open_rows] = _configured(products[open_rows], config)
    counts = {part: int((said == part).sum()) for part in SPLITS}
    if not (found == "train").any():
        told = ", ".join(f"{count:,} {part}" for part, count in counts.items() if count)
        raise CatalogueError(f"products.split names no row for train, only {told}; leave the column out, or name some")
    lacking = [part for part in ("validation", "test") if not counts[part]]
    drawn = _parts(by_hash(products["product_id"], config), products.index, config)
    taken = (said == "train") & drawn.isin(lacking)
    found[taken] = drawn[taken]
    _tell(counts, int(open_rows.sum()), {part: int((taken & (drawn == part)).sum()) for part in lacking}, config)
    return found


def published(products: pd.DataFrame) -> "pd.Series[Any]":
    """What the column `split` says of each product, None where it says nothing; of rows with one id, what the first says.

    Raises:
        CatalogueError: a value that is none of `SPLITS`.
    """
    if "split" not in products:
        return pd.Series(None, index=products.index, name="split", dtype=object)
    said = products["split"].astype(object)
    said = said.mask(said.isna() | said.isin(["", "NA"]), None)
    unknown = said[said.notna() & ~said.isin(SPLITS)]
    if len(unknown):
        names = [repr(value) for value in unknown.unique()[:SHOWN]]
        more = f" and {unknown.nunique() - SHOWN} more" if unknown.nunique() > SHOWN else ""
        raise CatalogueError(
            f"products.split says {', '.join(names)}{more} in {len(unknown):,} rows; allowed: {', '.join(SPLITS)}"
        )
    if products["product_id"].duplicated().any():
        said = said.groupby(products["product_id"].astype(str)).transform("first")
    return said.mask(said.isna(), None).rename("split")


def for_test(products: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the column `split` leaves each product to the test: those marked so or not at all; all where none is marked so.

    Raises:
        CatalogueError: a value that is none of `SPLITS`.
    """
    said = published(products)
    tested = said == "test"
    return said.isna() | tested | (not tested.any())


def _tell(counts: dict[str, int], without: int, drawn: dict[str, int], config: SplitConfig) -> None:
    """What became of the column `split`, for the log."""
    log.info("the split that came with the products is kept: %s", ", ".join(f"{n:,} {part}" for part, n in counts.items()))
    if without:
        log.warning("%s products have no value in split; they are divided by %s", f"{without:,}", config.by)
    for part, rows in drawn.items():
        share = getattr(config, part)
        log.warning(
            "no product is marked %s; split.%s = %g of those marked train, %s, are drawn by hash", part, part, share, f"{rows:,}"
        )


def _configured(products: pd.DataFrame, config: SplitConfig) -> "pd.Series[Any]":
    """Parts by the configured rule."""
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
