"""Listings and reviews with their texts normalised: what every encoder and prior reads."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.text import normalise


@dataclass(frozen=True)
class CleanListing:
    """A listing with its texts normalised; '' and empty mean missing.

    Attributes:
        pairs: Name and value of each descriptive field, then of each attribute in the order of their names.
        categories: Value of each of `CATEGORY_LEVELS`, None where it is missing.
    """

    title: str
    description: str
    pairs: tuple[tuple[str, str], ...]
    price: float | None
    categories: tuple[str | None, ...]


@dataclass(frozen=True)
class CleanReview:
    """A review with its texts normalised; None where the writer's opinion is not known."""

    title: str
    text: str
    recommended: bool | None = None
    rating: float | None = None


def clean_review(title: str | None, text: str | None, recommended: Any = None, rating: Any = None) -> CleanReview:
    """Normalise the texts of a review; a missing opinion (None, NA, NaN) is None."""
    return CleanReview(
        title=normalise(title or ""),
        text=normalise(text or ""),
        recommended=None if pd.isna(recommended) else bool(recommended),
        rating=None if pd.isna(rating) else float(rating),
    )


def clean(listing: Listing) -> CleanListing:
    """Normalise everything that is text."""
    fields = [(name, listing.fields[name]) for name in CATEGORICAL_FIELDS if listing.fields.get(name)]
    pairs = ((_short(name), _short(value)) for name, value in [*fields, *sorted(listing.attributes.items())])
    return CleanListing(
        title=normalise(listing.title or ""),
        description=normalise(listing.description or ""),
        pairs=tuple((name, value) for name, value in pairs if name and value),
        price=listing.price,
        categories=tuple(listing.categories.get(level) for level in CATEGORY_LEVELS),
    )


@lru_cache(maxsize=16384)
def _short(text: str) -> str:
    return normalise(text)
