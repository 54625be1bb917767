"""Batches of listings and reviews for training, evaluation and calibration."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from catalog.augmentation import augment_image, augment_text, drop_attributes
from catalog.catalogue import listing_of, records_of
from catalog.corruption import KINDS, corrupt
from catalog.errors import ImageError
from catalog.images import ImageStore, decode
from catalog.listing import CATEGORICAL_FIELDS
from configs.schema import AugmentationConfig, CorruptionConfig
from models.product.cleaning import CleanListing, CleanReview, clean, clean_review
from models.product.config import ProductModelConfig
from models.product.encoders import Encoders
from models.product.inputs import Batch, Inputs
from models.product.priors.linear import fold_of
from models.product.priors.priors import Expected

log = logging.getLogger(__name__)

Photo = NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """Tables of one split: products, and reviews, of which there may be none."""

    products: pd.DataFrame
    reviews: pd.DataFrame


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


@dataclass(frozen=True)
class ReviewRows:
    """Reviews with their texts normalised, and their keys."""

    reviews: tuple[CleanReview, ...] = ()
    keys: tuple[Any, ...] = ()

    @classmethod
    def of(cls, reviews: pd.DataFrame) -> "ReviewRows":
        """From reviews rows; those without any text are passed over."""
        columns = (reviews[name].tolist() for name in ("title", "review", "recommended", "rating"))
        cleaned = [clean_review(*(None if pd.isna(v) else v for v in row)) for row in zip(*columns, strict=True)]
        told = [(row, key) for row, key in zip(cleaned, reviews["review_id"].tolist(), strict=True) if row.title or row.text]
        return cls(tuple(row for row, _ in told), tuple(key for _, key in told))

    def __len__(self) -> int:
        return len(self.reviews)

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """Which linear prior did not see a review."""
        return fold_of(self.keys)


@dataclass(frozen=True)
class Changes:
    """What training changes in a row before the model sees it."""

    augmentation: AugmentationConfig | None = None
    corruption: CorruptionConfig | None = None
    seed: int = 0


@dataclass
class ListingDataset(Dataset[Batch]):
    """Rows as batches; photos are read, decoded and changed here, in whichever process loads.

    Attributes:
        changes: With corruption, some rows get a fault in every epoch, which also says which heads a row teaches.
        reviews: Spread evenly over the listings: at most `reviews_per_listing` of them an epoch, others in the next.
        fitted: The encoders were fitted on these rows: priors come from models that did not see them.
    """

    rows: Rows
    images: ImageStore
    encoders: Encoders
    config: ProductModelConfig
    changes: Changes = Changes()
    reviews: ReviewRows = ReviewRows()
    reviews_per_listing: float = 1e9
    fitted: bool = False
    _undecodable: set[Any] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if self.fitted:
            self._expected = self.encoders.priors.expect(self.rows.listings, self.rows.photos)
            self._review_priors = self.encoders.priors.review_logits(self.reviews.reviews, self.reviews.folds)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """One batch of (epoch, index); the epoch seeds what is changed, and -1 asks for nothing but faults."""
        found = [self._row(epoch, index) for epoch, index in keys]
        expected = self._expectation([index for _, index in keys], found) if self.fitted else None
        faults = np.array([[fault == kind for kind in KINDS] for _, _, fault in found], dtype=bool).reshape(len(found), -1)
        listings = self.encoders.encode([row for row, _, _ in found], [photo for _, photo, _ in found], self.config, expected)
        places = [place for epoch, index in keys for place in self._reviews_at(epoch, index)]
        wanted = [self._review(keys[0][0], place) for place in places]
        known = self._review_priors[places] if self.fitted else None
        return Batch(listings, torch.from_numpy(faults), self.encoders.encode_reviews(wanted, self.config, known))

    def _expectation(self, indices: list[int], found: "Sequence[tuple[CleanListing, Photo | None, str | None]]") -> Expected:
        """Read before for listings as they were, anew for those whose words have got a fault."""
        expected = self._expected.at(indices)
        faulty = [i for i, (_, _, fault) in enumerate(found) if fault is not None]
        expected.put(
            faulty, self.encoders.priors.expect([found[i][0] for i in faulty], [self.rows.photos[indices[i]] for i in faulty])
        )
        return expected

    def inputs(self, indices: Sequence[int]) -> Inputs:
        """Listings as they are."""
        rows = [self.rows.listings[i] for i in indices]
        return self.encoders.encode(rows, [self.photo(i) for i in indices], self.config)

    def batches(self, size: int) -> Iterator[Inputs]:
        """Every listing once, in order, as it is."""
        for start in range(0, len(self), size):
            yield self.inputs(range(start, min(start + size, len(self))))

    def first(self, rows: int) -> "ListingDataset":
        """The first rows, as they are."""
        part = Rows(self.rows.listings[:rows], self.rows.photos[:rows])
        return ListingDataset(part, self.images, self.encoders, self.config)

    def faulty(self, index: int, kind: str, rng: np.random.Generator) -> tuple[CleanListing, Photo | None] | None:
        """A row with a fault of one kind, with another row as donor; None where it cannot carry it."""
        donor = int(rng.integers(len(self)))
        row, photo = self.rows.listings[index], self.photo(index)
        return corrupt(row, photo, kind, (self.rows.listings[donor], self.photo(donor)), rng)

    def photo(self, index: int, size: tuple[int, int] | None = None) -> Photo | None:
        """Pixels of a row's photo, of the model's size by default; None where there is none, or none that can be decoded."""
        product_id = self.rows.photos[index]
        data = self.images.get(product_id)
        if data is None:
            return None
        try:
            return decode(data, size or (self.config.image_height, self.config.image_width))
        except ImageError as error:
            if product_id not in self._undecodable:
                self._undecodable.add(product_id)
                log.warning("product %s is read without its photo: %s", product_id, error)
            return None

    def _row(self, epoch: int, index: int) -> tuple[CleanListing, Photo | None, str | None]:
        """Listing, photo and kind of fault."""
        rng = np.random.default_rng((self.changes.seed, epoch + 1, index))
        corruption, augmentation = self.changes.corruption, self.changes.augmentation
        row, photo, fault = self.rows.listings[index], None, None
        if corruption and rng.random() < corruption.share:
            kind = corruption.trained[int(rng.integers(len(corruption.trained)))]
            found = self.faulty(index, kind, rng)
            if found is not None:
                (row, photo), fault = found, kind
        if fault is None:
            photo = self.photo(index)
        if epoch < 0 or augmentation is None:
            return row, photo, fault
        row = augment(row, augmentation, rng)
        return row, photo if photo is None else augment_image(photo, augmentation, rng), fault

    def _reviews_at(self, epoch: int, index: int) -> list[int]:
        """Reviews that come with a listing: a part of a permutation of them that the epoch chooses."""
        count = int(min(len(self.reviews), self.reviews_per_listing * len(self)))
        first, last = index * count // len(self), (index + 1) * count // len(self)
        return [int(place) for place in self._order(epoch)[first:last]] if last > first else []

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._shuffled is None or self._shuffled[0] != epoch:
            rng = np.random.default_rng((self.changes.seed, epoch + 1))
            self._shuffled = epoch, rng.permutation(len(self.reviews)) if epoch >= 0 else np.arange(len(self.reviews))
        return self._shuffled[1]

    _shuffled: tuple[int, NDArray[np.int64]] | None = field(default=None, repr=False)

    def _review(self, epoch: int, place: int) -> CleanReview:
        review, augmentation = self.reviews.reviews[place], self.changes.augmentation
        if epoch < 0 or augmentation is None:
            return review
        rng = np.random.default_rng((self.changes.seed, epoch + 1, place, 1))
        title, text = (" ".join(augment_text(words.split(), augmentation, rng)) for words in (review.title, review.text))
        return replace(review, title=title, text=text)


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
