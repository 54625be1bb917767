"""Photos that clients send: bytes only, checked before they reach a model. A URL is never fetched."""

import base64
import binascii
import io

from PIL import Image

from catalog.errors import ImageError
from catalog.images import decode

LARGE_PIXELS = 1_000_000
"""A larger photo is reduced here, in its own request, so that it does not hold up the batch that it joins."""
REDUCED_SIDE = 1024


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


def checked(data: bytes, max_pixels: int) -> bytes:
    """`data` when it is a JPEG, PNG or WebP that decodes whole; large photos come back reduced, as JPEG.

    Raises:
        ImageError: not such a photo, truncated, or of more than `max_pixels` (refused before decoding).
    """
    if not data:
        raise ImageError("image is empty; allowed: JPEG, PNG, WEBP")
    pixels = decode(data, max_pixels=max_pixels)
    if pixels.shape[0] * pixels.shape[1] <= LARGE_PIXELS:
        return data
    reduced = Image.fromarray(pixels)
    reduced.thumbnail((REDUCED_SIDE, REDUCED_SIDE))
    buffer = io.BytesIO()
    reduced.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
