"""One product as a loader or a client hands it to a model: every field may be missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.images import DecodedPhoto

CATEGORY_LEVELS = ("master_category", "sub_category", "article_type")
"""Category columns, coarse to fine."""

CATEGORICAL_FIELDS = ("brand", "gender", "age_group", "base_colour", "season", "usage")
"""Descriptive columns with a closed vocabulary that are inputs, never targets."""


@dataclass(frozen=True)
class Listing:
    """A product listing; None and empty mean missing.

    Attributes:
        title: Plain text.
        description: Plain text or HTML.
        price: In the catalogue's currency, > 0.
        image: Encoded photo (JPEG, PNG, WebP), or one that is decoded already.
        categories: Known values of `CATEGORY_LEVELS` (an input only to heads that do not predict them).
        fields: Known values of `CATEGORICAL_FIELDS`.
        attributes: Free attributes, name to value.
    """

    title: str | None = None
    description: str | None = None
    price: float | None = None
    image: bytes | DecodedPhoto | None = None
    categories: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
