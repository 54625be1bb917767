"""Vectors of all products of a catalogue, as a table that lies beside it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalog.catalogue import Catalogue, listing_of, records_of
from catalog.errors import CatalogueError, ImageError
from catalog.images import decode
from catalog.write import new_catalogue, write_embeddings
from models.errors import NothingToEmbed
from models.family import EmbeddingSummary
from models.product.cleaning import CleanListing, clean
from models.product.data import Photo
from models.product.predictor import ProductPredictor, can_be_embedded

log = logging.getLogger(__name__)

PRODUCTS_A_GROUP = 4096
"""Products whose vectors are held at once, and lie in one row group."""


def embed(predictor: ProductPredictor, catalogue: Catalogue, out: Path) -> EmbeddingSummary:
    """Make the catalogue directory `out` with the table embeddings; all of it or nothing.

    Raises:
        CatalogueError: no products table, attributes that are no JSON object, or `out` exists.
        NothingToEmbed: no product says anything.
    """
    with new_catalogue(out) as folder:
        products = catalogue.products()
        known = products.dropna(subset="product_id").drop_duplicates("product_id")
        run = _Run(predictor, catalogue, known)
        write_embeddings(folder, run.pieces())
    return EmbeddingSummary(
        out=str(out),
        products=run.embedded,
        dimensions=predictor.config.model.embedding_dim,
        says_nothing=len(known) - run.embedded,
        undecodable=run.undecodable,
        repeated=len(products) - len(known),
    )


class _Run:
    """One pass over the products, and what it has met so far."""

    def __init__(self, predictor: ProductPredictor, catalogue: Catalogue, products: pd.DataFrame) -> None:
        self.predictor, self.catalogue, self.products = predictor, catalogue, products
        self.embedded = self.undecodable = 0

    def pieces(self) -> Iterator[tuple["pd.Series[Any]", NDArray[np.float32]]]:
        """Ids and vectors [n, d] of the products that say something.

        Raises:
            NothingToEmbed: none does.
        """
        for start in range(0, len(self.products), PRODUCTS_A_GROUP):
            group = self.products.iloc[start : start + PRODUCTS_A_GROUP]
            found = [self._batch(batch) for batch in self._batches(group)]
            ids = pd.concat([keys for keys, _ in found])
            self.embedded += len(ids)
            if len(ids):
                yield ids, np.concatenate([vectors for _, vectors in found])
            log.info("embedded %d of %d products", self.embedded, len(self.products))
        if not self.embedded:
            where = ", ".join(map(str, self.catalogue.folders))
            raise NothingToEmbed(
                f"no product of {where} has a title, description, photo or attribute that this version reads: nothing to embed"
            )

    def _batches(self, group: pd.DataFrame) -> Iterator[pd.DataFrame]:
        size = self.predictor.config.evaluation.batch_size
        return (group.iloc[start : start + size] for start in range(0, len(group), size))

    def _batch(self, products: pd.DataFrame) -> tuple["pd.Series[Any]", NDArray[np.float32]]:
        ids = products["product_id"]
        rows, photos = [_listing(record) for record in records_of(products)], [self._photo(key) for key in ids]
        read = self.predictor.encoders.read
        told = [can_be_embedded(read(row), photo) for row, photo in zip(rows, photos, strict=True)]
        chosen = [i for i, says in enumerate(told) if says]
        if not chosen:
            return ids[:0], np.zeros((0, self.predictor.config.model.embedding_dim), dtype=np.float32)
        return ids[told], self.predictor.embed([rows[i] for i in chosen], [photos[i] for i in chosen])

    def _photo(self, product_id: Any) -> Photo | None:
        """None where there is none, or none that can be decoded; the latter are counted."""
        data, config = self.catalogue.images.get(product_id), self.predictor.config.model
        if data is None or "image" in self.predictor.encoders.unread:
            return None
        try:
            return decode(data, (config.image_height, config.image_width))
        except ImageError as error:
            self.undecodable += 1
            log.warning("product %s is embedded without its photo: %s", product_id, error)
            return None


def _listing(record: dict[str, Any]) -> CleanListing:
    try:
        return clean(listing_of(record, None))
    except CatalogueError as error:
        raise CatalogueError(f"product {record['product_id']}: {error}") from error
