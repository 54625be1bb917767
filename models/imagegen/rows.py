"""Rows of a catalogue as photos of one size."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import ImageError
from catalog.splits import by_hash, for_test, split_products
from configs.errors import VitrinaError
from configs.schema import SplitConfig
from models.bundles import BASE, load_seen, product_keys
from models.imagegen.answers import Size
from models.imagegen.config import JudgeConfig
from models.imagegen.judge.judge import COLOUR, TYPE, Labelled
from models.imagegen.photos import Pixels, fitted

log = logging.getLogger(__name__)

SPLITS = ("unseen", "validation", "train", "all")


def photo_of(catalogue: Catalogue, product_id: Any, size: Size) -> Pixels | None:
    """A product's photo, fitted to `size`; None where there is none, or it cannot be decoded."""
    data = catalogue.images.get(product_id)
    if data is None:
        return None
    try:
        return fitted(data, size)
    except ImageError as error:
        log.warning("the photo of product %s is left out: %s", product_id, error)
        return None


def with_photos(catalogue: Catalogue, products: pd.DataFrame, size: Size, most: int | None = None) -> tuple[pd.DataFrame, Pixels]:
    """Products that have a photo, at most `most` of them, and their photos (n, height, width, 3).

    They come in an order by hash of their ids: the same ones whoever asks.
    """
    order = np.argsort(by_hash(products["product_id"], SplitConfig()), kind="stable")
    rows, photos = list[int](), list[Pixels]()
    for place in order:
        if most is not None and len(rows) >= most:
            break
        photo = photo_of(catalogue, products["product_id"].iloc[place], size)
        if photo is not None:
            rows.append(int(place))
            photos.append(photo)
    pixels = np.stack(photos) if photos else np.empty((0, size[1], size[0], 3), dtype=np.uint8)
    return products.iloc[rows].reset_index(drop=True), pixels


def labelled(catalogue: Catalogue, products: pd.DataFrame, config: JudgeConfig) -> Labelled:
    """Photos of products with their labels, for the judge."""
    kept, pixels = with_photos(catalogue, products, (config.side, config.side), config.photos)
    return Labelled(pixels, labels_of(kept))


def labels_of(products: pd.DataFrame) -> dict[str, Sequence[str | None]]:
    """What the catalogue says of each product's type and colour; None where it says nothing."""
    listings = [listing_of(row, None) for row in records_of(products)]
    return {
        TYPE: [listing.categories.get("article_type") for listing in listings],
        COLOUR: [listing.fields.get("base_colour") for listing in listings],
    }


def different(catalogue: Catalogue) -> pd.DataFrame:
    """Its products, the first of duplicates."""
    return catalogue.products().drop_duplicates("product_id").reset_index(drop=True)


def products_of(folder: Path, catalogue: Catalogue, split: str, config: SplitConfig) -> pd.DataFrame:
    """Products to measure the bundle in `folder` on.

    `unseen` are those that neither the version nor its base knows; where the catalogue publishes a split, its test rows alone.

    Raises:
        VitrinaError: unknown split, a damaged bundle, or no product to measure.
    """
    if split not in SPLITS:
        raise VitrinaError(f"split {split!r} is not known; allowed: {', '.join(SPLITS)}")
    products = different(catalogue)
    seen = np.isin(product_keys(products), np.concatenate([load_seen(folder), load_seen(folder / BASE)]))
    if split == "unseen":
        wanted = ~seen & for_test(products).to_numpy()
    elif split == "all":
        wanted = np.ones(len(products), dtype=bool)
    else:
        wanted = seen & (split_products(products, config) == split).to_numpy()
    if not wanted.any():
        raise VitrinaError(f"there is no {split} product to measure; other splits: {', '.join(SPLITS)}")
    return products[wanted]


def known_of(folder: Path, catalogue: Catalogue, measured: "pd.Series[Any]", config: SplitConfig) -> pd.DataFrame:
    """Products that the bundle was fitted on or chosen by and that are not measured; their `part` is train or validation.

    Raises:
        VitrinaError: a damaged bundle.
    """
    products = different(catalogue)
    known = products[np.isin(product_keys(products), load_seen(folder)) & ~products["product_id"].isin(measured).to_numpy()]
    return known.assign(part=split_products(known, config) if len(known) else "")
