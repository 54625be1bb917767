"""Photos with what they show in words: what a pipeline that is started from learns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from catalog.images import DecodedPhoto, ImageStore
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
        if isinstance(row, slice):
            return StoredPhotos(self._images, self._products[row])
        photo = self._images.get(self._products[row])
        assert photo is not None, "products have a photo"
        return photo


class StoredShots(Sequence[Shot]):
    """The same with their prompts and styles."""

    def __init__(self, photos: Sequence[bytes], texts: Sequence[tuple[str, ...]], styles: Sequence[Style]) -> None:
        self._photos, self._texts, self._styles = photos, texts, styles

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, row: int) -> Shot: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Shot]: ...
    def __getitem__(self, row: int | slice) -> Shot | Sequence[Shot]:
        if isinstance(row, slice):
            return StoredShots(self._photos[row], self._texts[row], self._styles[row])
        return Shot(self._texts[row], self._photos[row], self._styles[row])
