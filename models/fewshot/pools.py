"""From a catalogue to pools: products of some types with features of `product`, and photos where a learner reads them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from catalog.catalogue import Catalogue, listing_of, records_of, said
from catalog.errors import ImageError
from catalog.images import DecodedPhoto, decode
from catalog.listing import Listing
from catalog.splits import by_hash
from configs.errors import VitrinaError
from configs.schema import SplitConfig
from models.family import Embedder
from models.fewshot.config import SharedConfig
from models.fewshot.episodes import Floats, Pool, possible
from models.fewshot.learner import Pools
from models.fewshot.types import MIN_WAYS

log = logging.getLogger(__name__)

BATCH = 256
"""Products whose photos are held at full size at once."""


def chosen(products: pd.DataFrame, most: int, salt: str) -> pd.DataFrame:
    """At most so many products of each article type, by a hash of their ids; those without a type are left out."""
    typed = products[said(products["article_type"]).notna()].drop_duplicates("product_id")
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
    those = products[kept]
    types, codes = np.unique(those["article_type"].to_numpy(dtype=str), return_inverse=True)
    return Pool(
        np.concatenate(features),
        codes.astype(np.int64),
        tuple(types.tolist()),
        those["product_id"].to_numpy(),
        None if size is None else np.stack([np.zeros((*size, 3), np.uint8) if p is None else p for p in photos]),
        None if size is None else np.array([p is not None for p in photos]),
    )


class PhotosAlone:
    """An embedder that sees a listing's photo and nothing else of it."""

    def __init__(self, embedder: Embedder) -> None:
        self.name, self._embedder = embedder.name, embedder
        self.words, self.types = embedder.words, embedder.types

    def embeds(self, listing: Listing) -> bool:
        """Whether it has a photo that is read."""
        return listing.image is not None and self._embedder.embeds(Listing(image=listing.image))

    def features(self, listings: Sequence[Listing]) -> Floats:
        """Features [n, D] of the photos.

        Raises:
            VitrinaError: a listing has none.
        """
        return self._embedder.features([Listing(image=listing.image) for listing in listings])


def bare_pools(catalogue: Catalogue, products: pd.DataFrame, embedder: Embedder, config: SharedConfig, pools: Pools) -> Pools:
    """The types of `pools` by photos without a word, of `photos_alone` products each.

    Where few types have photos, or the base reads none, the products of `pools` as if they had no texts.
    """
    some = chosen(products, config.types.photos_alone, config.types.salt)
    photos = PhotosAlone(embedder)
    kept = some[[catalogue.images.get(key) is not None for key in some["product_id"]]]
    read = photos.embeds(Listing(image=DecodedPhoto(np.zeros((1, 1, 3), dtype=np.uint8))))
    if read and kept["article_type"].nunique() >= len({*pools.train.types, *pools.validation.types}) / 2:
        pool = pool_of(catalogue, kept, photos, config)
        found = [pool.of_types(part.types) for part in (pools.train, pools.validation)]
        if all(len(possible(part, 1)) >= MIN_WAYS for part in found):
            return Pools(*found)
    return Pools(pools.train.without_words(embedder.words), pools.validation.without_words(embedder.words))


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
