"""Photos that clients send: bytes only, decoded before they reach a model. A URL is never fetched."""

import base64
import binascii

import numpy as np
from PIL import Image

from catalog.errors import ImageError
from catalog.images import LARGEST_SIDE, SERVED_FORMATS, DecodedPhoto, decode


def from_base64(value: object) -> object:
    """Bytes of a base64 string; bytes (an uploaded file) pass.

    Raises:
        ValueError: not base64, or a URL.
    """
    if not isinstance(value, str):
        return value
    if "://" in value[:64] or value[:5].lower() == "data:":
        raise ValueError("must be the photo itself as base64, not a URL; URLs are never fetched")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not valid base64") from error


def decoded(data: bytes, max_pixels: int, side: int = LARGEST_SIDE) -> DecodedPhoto:
    """The pixels of a JPEG, PNG or WebP, which the model and monitoring read; a photo of a longer `side` comes reduced.

    A small request may hold photos of many pixels, and those that wait add up.

    Raises:
        ImageError: not such a photo, truncated, or of more than `max_pixels` (refused before decoding).
    """
    if not data:
        raise ImageError(f"image is empty; allowed: {', '.join(SERVED_FORMATS)}")
    pixels = decode(data, max_pixels=max_pixels, formats=SERVED_FORMATS)
    if max(pixels.shape) > side:
        reduced = Image.fromarray(pixels)
        reduced.thumbnail((side, side))
        pixels = np.asarray(reduced)
    return DecodedPhoto(pixels)
