"""Photos made small, to be shown."""

import io

from PIL import Image

from catalog.images import FORMATS, MAX_PIXELS, decode

QUALITY = 80
"""Of JPEGs that are made: at 160 pixels 90 takes half as many bytes again, and nobody sees it."""


def small(photo: bytes, side: int, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS) -> bytes:
    """A JPEG of at most `side` pixels a side, upright; one that is small already and holds nothing else stays as it is.

    Raises:
        ImageError: it cannot be decoded.
    """
    pixels = decode(photo, max_pixels=max_pixels, max_side=side, formats=formats)
    if _is_small(photo, side):
        return photo
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def _is_small(photo: bytes, side: int) -> bool:
    """Whether it is such a JPEG, with no more bytes than its pixels have, and nothing said of who took it and where."""
    with Image.open(io.BytesIO(photo)) as image:
        plain = image.format == "JPEG" and image.mode in ("RGB", "L") and "exif" not in image.info
        return plain and max(image.size) <= side and len(photo) <= 3 * image.width * image.height
