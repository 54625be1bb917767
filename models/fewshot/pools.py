"""From a catalogue to pools: products of some types with features of `product`, and photos where a learner reads them."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import ImageError
from catalog.images import DecodedPhoto, decode
from catalog.splits import by_hash
from configs.errors import VitrinaError
from configs.schema import SplitConfig
from models.family import Embedder
from models.fewshot.config import SharedConfig
from models.fewshot.episodes import Pool

log = logging.getLogger(__name__)

BATCH = 256
"""Products whose photos are held at full size at once."""


def chosen(products: pd.DataFrame, most: int, salt: str) -> pd.DataFrame:
    """At most so many products of each article type, by a hash of their ids; those without a type are left out."""
    typed = products[products["article_type"].fillna("") != ""].drop_duplicates("product_id")
    order = pd.Series(by_hash(typed["product_id"], SplitConfig(salt=f"{salt}:products")), index=typed.index)
    place = order.groupby(typed["article_type"]).rank(method="first")
    return typed[place <= most]


def pool_of(catalogue: Catalogue, products: pd.DataFrame, base: Embedder, config: SharedConfig) -> Pool:
    """The pool of some products rows; a photo that cannot be decoded counts as none, and who says nothing is left out.

    Raises:
        VitrinaError: none of them says anything that `base` reads.
    """
    size = (config.photo_height, config.photo_width) if config.reads_photos else None
    features, photos, kept = [], [], []
    for start in range(0, len(products), BATCH):
        rows = products.iloc[start : start + BATCH]
        listings = [listing_of(row, photo_of(catalogue, row["product_id"])) for row in records_of(rows)]
        told = [base.embeds(listing) for listing in listings]
        listings = [listing for listing, says in zip(listings, told, strict=True) if says]
        if listings:
            features.append(base.features(listings))
        if size:
            photos += [None if listing.image is None else decode(listing.image, size) for listing in listings]
        kept += told
        log.info("features of %d of %d products", start + len(rows), len(products))
    if not features:
        raise VitrinaError("no product of these types has a title, description, photo or attribute that the base model reads")
    said = products[kept]
    types, codes = np.unique(said["article_type"].to_numpy(dtype=str), return_inverse=True)
    return Pool(
        np.concatenate(features),
        codes.astype(np.int64),
        tuple(types.tolist()),
        said["product_id"].to_numpy(),
        None if size is None else np.stack([np.zeros((*size, 3), np.uint8) if p is None else p for p in photos]),
        None if size is None else np.array([p is not None for p in photos]),
    )


def parts(pool: Pool, types: Mapping[str, str]) -> dict[str, Pool]:
    """A pool for each part of the types; see `models.fewshot.types.split_types`."""
    return {part: pool.of_types([name for name in pool.types if types.get(name) == part]) for part in sorted(set(types.values()))}


def photo_of(catalogue: Catalogue, product_id: Any) -> DecodedPhoto | None:
    """A product's photo; None where there is none, or it cannot be decoded."""
    data = catalogue.images.get(product_id)
    if data is None:
        return None
    try:
        return DecodedPhoto(decode(data))
    except ImageError as error:
        log.warning("product %s is read without its photo: %s", product_id, error)
        return None
