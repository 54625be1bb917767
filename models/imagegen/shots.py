"""Products with their photos, and photos with what they show in words: what a generator learns from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from catalog.images import DecodedPhoto, ImageStore
from catalog.listing import Listing
from models.imagegen.answers import Style


@dataclass(frozen=True, eq=False)
class Shot:
    """A photo and its prompts.

    Attributes:
        texts: What it shows, in one or several wordings; the first counts in validation.
        photo: The encoded bytes, or decoded.
        style: How it looks.
    """

    texts: tuple[str, ...]
    photo: bytes | DecodedPhoto
    style: Style = "photorealistic"


@dataclass(frozen=True)
class Pictured:
    """A product whose photo can be decoded; the photo itself is read when it is needed."""

    product_id: Any
    listing: Listing


class StoredPhotos(Sequence[bytes]):
    """Photos of products that have one, read when they are asked for."""

    def __init__(self, images: ImageStore, products: Sequence[Any]) -> None:
        self._images, self._products = images, products

    def __len__(self) -> int:
        return len(self._products)

    @overload
    def __getitem__(self, row: int) -> bytes: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[bytes]: ...
    def __getitem__(self, row: int | slice) -> bytes | Sequence[bytes]:
        """One, or some, which are read later."""
        if isinstance(row, slice):
            return StoredPhotos(self._images, self._products[row])
        photo = self._images.get(self._products[row])
        assert photo is not None, "products have a photo"
        return photo
