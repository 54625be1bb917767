"""Products with their photos, and photos with what they show in words: what a generator learns from."""

from dataclasses import dataclass
from typing import Any

from catalog.images import DecodedPhoto
from catalog.listing import Listing
from models.imagegen.answers import Style


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo and its prompt.

    Attributes:
        text: What it shows.
        photo: The encoded bytes, or decoded.
        style: How it looks.
    """

    text: str
    photo: bytes | DecodedPhoto
    style: Style = "photorealistic"


@dataclass(frozen=True)
class Pictured:
    """A product whose photo can be decoded; the photo itself is read when it is needed."""

    product_id: Any
    listing: Listing
