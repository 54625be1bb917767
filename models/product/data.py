"""Batches of listings for training, evaluation and calibration."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import Dataset

from catalog.augmentation import augment_image, augment_text, drop_attributes
from catalog.catalogue import listing_of
from catalog.errors import ImageError
from catalog.images import ImageStore, decode
from catalog.listing import CATEGORICAL_FIELDS
from configs.schema import AugmentationConfig
from models.product.config import ProductModelConfig
from models.product.encoders import CleanListing, Encoders, clean
from models.product.inputs import Inputs

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Listings with their texts normalised, and the product whose photo each shows."""

    listings: tuple[CleanListing, ...]
    photos: tuple[Any, ...]

    @classmethod
    def of(cls, products: pd.DataFrame) -> "Rows":
        """From products rows; an augmented row shows the photo of its `source_product_id`."""
        key = "source_product_id" if "source_product_id" in products else "product_id"
        records = records_of(products)
        return cls(tuple(clean(listing_of(row, None)) for row in records), tuple(row[key] for row in records))

    def __len__(self) -> int:
        return len(self.listings)

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(self.listings + other.listings, self.photos + other.photos)


def records_of(products: pd.DataFrame) -> list[dict[str, Any]]:
    """Products rows as mappings."""
    return [{str(column): value for column, value in row.items()} for row in products.to_dict("records")]


class ListingDataset(Dataset[Inputs]):
    """Rows as batches; photos are read, decoded and augmented here, in whichever process loads."""

    def __init__(
        self,
        rows: Rows,
        images: ImageStore,
        encoders: Encoders,
        config: ProductModelConfig,
        augmentation: AugmentationConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.rows, self.images, self.encoders, self.config = rows, images, encoders, config
        self.augmentation, self.seed = augmentation, seed
        self._undecodable: set[Any] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Inputs:
        """One batch of (epoch, index); the epoch seeds the augmentation, and -1 asks for none."""
        found = [self._row(epoch, index) for epoch, index in keys]
        return self.encoders.encode([row for row, _ in found], [photo for _, photo in found], self.config)

    def batches(self, size: int) -> Iterator[Inputs]:
        """Every row once, in order, as it is."""
        for start in range(0, len(self), size):
            yield self.__getitems__([(-1, i) for i in range(start, min(start + size, len(self)))])

    def first(self, rows: int) -> "ListingDataset":
        """The first rows, as they are."""
        part = Rows(self.rows.listings[:rows], self.rows.photos[:rows])
        return ListingDataset(part, self.images, self.encoders, self.config)

    def _row(self, epoch: int, index: int) -> tuple[CleanListing, NDArray[np.uint8] | None]:
        row, photo = self.rows.listings[index], self._photo(self.rows.photos[index])
        if epoch < 0 or self.augmentation is None:
            return row, photo
        rng = np.random.default_rng((self.seed, epoch, index))
        row = augment(row, self.augmentation, rng)
        return row, photo if photo is None else augment_image(photo, self.augmentation, rng)

    def _photo(self, product_id: Any) -> NDArray[np.uint8] | None:
        data = self.images.get(product_id)
        if data is None:
            return None
        try:
            return decode(data, (self.config.image_height, self.config.image_width))
        except ImageError as error:
            if product_id not in self._undecodable:
                self._undecodable.add(product_id)
                log.warning("product %s is read without its photo: %s", product_id, error)
            return None


def augment(row: CleanListing, config: AugmentationConfig, rng: np.random.Generator) -> CleanListing:
    """Another wording of the same listing; fields are kept, attributes may be hidden."""
    fields = tuple(pair for pair in row.pairs if pair[0] in _FIELDS)
    attributes = drop_attributes(dict(pair for pair in row.pairs if pair[0] not in _FIELDS), config, rng)
    return replace(
        row,
        title=" ".join(augment_text(row.title.split(), config, rng)),
        description=" ".join(augment_text(row.description.split(), config, rng)),
        pairs=fields + tuple(attributes.items()),
    )


_FIELDS = frozenset(CATEGORICAL_FIELDS)
