"""Photos as they are read: all equally sharp.

What a photo shows does not depend on how sharp it is, yet what a network makes of it does, a little and to either side: a sharper
photo could lower a score. So every photo is blurred until its sharpness has fallen to one value. Blurring twice is blurring once
by more (Gaussians), so that a photo and the same one a little less sharp are read as one image, by construction. What is blurrier
than that is read as it is. How sharp the photo was, the axis of the photo tells.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from catalog.errors import ImageError
from catalog.images import DecodedPhoto, decode, sharpness
from catalog.listing import Listing
from configs.errors import VitrinaError
from models.inspection import Inspection, Inspector
from models.quality.config import QualityModelConfig

WIDEST = 4.0
"""Pixels: a wider blur is not looked for."""
HALVINGS = 9
"""Of the interval that the blur lies in: to a hundredth of a pixel."""


class Evened:
    """An inspector that reads every photo equally sharp."""

    def __init__(self, inspector: Inspector, config: QualityModelConfig) -> None:
        self.name, self.words, self.types = inspector.name, inspector.words, inspector.types
        self.type_labels, self.readable = inspector.type_labels, inspector.readable
        self._inspector, self._config = inspector, config

    def reads(self, listing: Listing) -> bool:
        """See `Inspector`."""
        return self._inspector.reads(listing)

    def embeds(self, listing: Listing) -> bool:
        """See `models.family.Embedder`."""
        return self._inspector.embeds(listing)

    def features(self, listings: Sequence[Listing]) -> NDArray[np.float32]:
        """See `models.family.Embedder`.

        Raises:
            VitrinaError: a photo cannot be decoded; says which.
        """
        return self._inspector.features(self._evened(listings))

    def inspect(self, listings: Sequence[Listing]) -> list[Inspection]:
        """See `Inspector`.

        Raises:
            VitrinaError: a photo cannot be decoded; says which.
        """
        return self._inspector.inspect(self._evened(listings))

    def _evened(self, listings: Sequence[Listing]) -> list[Listing]:
        if "image" not in self.readable:
            return list(listings)
        found = []
        for i, listing in enumerate(listings):
            try:
                found.append(self._with_photo(listing))
            except ImageError as error:
                raise VitrinaError(f"listing {i}: {error}") from error
        return found

    def _with_photo(self, listing: Listing) -> Listing:
        if listing.image is None:
            return listing
        photo = decode(listing.image, max_side=self._config.read_side)
        return replace(listing, image=DecodedPhoto(evened(photo, self._config.read_sharpness)))


def evened(photo: NDArray[np.uint8], wanted: float) -> NDArray[np.uint8]:
    """The photo (height, width, 3) blurred until it is no sharper than `wanted`; as it is where it is not sharper."""
    if min(photo.shape[:2]) < 3 or sharpness(photo) <= wanted:
        return photo
    image, low, high = Image.fromarray(photo), 0.0, WIDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(middle)), dtype=np.uint8)
        low, high = (low, middle) if sharpness(blurred) <= wanted else (middle, high)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(high)), dtype=np.uint8)
