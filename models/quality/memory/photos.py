"""What is kept of a photo to know it again after it was cropped, turned, mirrored or lit otherwise.

Two things: how much of each colour what is shown has, relative to its own median, which a crop and the light change little; and
a thumbnail of it, cut out of its background, which two photos of different products in the same colours do not share.

Shapes: p values of a thumbnail, c colours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.images import DecodedPhoto, decode

SIDE = 6
"""Side of a thumbnail, pixels: 8 told no more on validation photos."""
SHADES = 5
"""Of each of red, green and blue: 4, 6 and 8 told no more on validation photos."""
MAX_SIDE = 96
"""Pixels; larger photos are shrunk to it before they are read."""
BACKGROUND = 40
"""Levels of 255 by which what is shown differs from the median of the photo's border."""
EDGE = 0.01
"""Share of a row or column that must differ from the background to belong to what is shown."""
Pixels = NDArray[np.uint8]


class Portrait(NamedTuple):
    """Of one photo; all 0 without one.

    Attributes:
        thumbnail: int8 (p,), centred and scaled.
        colours: uint8 (c,), square roots of shares, of length 255.
    """

    thumbnail: NDArray[np.int8]
    colours: NDArray[np.uint8]


NONE = Portrait(np.zeros(3 * SIDE * SIDE, dtype=np.int8), np.zeros(SHADES**3, dtype=np.uint8))


def portrait(photo: bytes | DecodedPhoto | None) -> Portrait:
    """What is kept of a photo.

    Raises:
        ImageError: it cannot be decoded.
    """
    if photo is None:
        return NONE
    pixels = decode(photo, max_side=MAX_SIDE)
    there = _shown(pixels)
    return Portrait(_thumbnail(pixels, there), _colours(pixels, there))


def thumbnails_agree(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.float64]:
    """Correlation of thumbnails (m, p), as they are or mirrored, whichever is higher; NaN where either is missing."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    size = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    mirrored = right.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(right.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, np.maximum((left * right).sum(1), (left * mirrored).sum(1)) / size, np.nan)


def colours_agree(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Bhattacharyya coefficient of colours (m, c), 1 for the same; NaN where either is missing."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    size = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (left * right).sum(1) / size, np.nan)


def _shown(pixels: Pixels) -> NDArray[np.bool_]:
    """Which pixels are no background; all of them where nothing stands out."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.float64)
    there = np.abs(pixels - np.median(border, axis=0)).max(axis=2) > BACKGROUND
    return there if there.sum() > 4 else np.ones_like(there)


def _thumbnail(pixels: Pixels, there: NDArray[np.bool_]) -> NDArray[np.int8]:
    rows, columns = (np.flatnonzero(there.mean(axis=axis) > EDGE) for axis in (1, 0))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) and len(columns) else pixels
    small = np.asarray(Image.fromarray(cut).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)
    centred = (small - small.mean()) / max(float(small.std()), 1e-6) * 32
    return np.asarray(np.clip(np.round(centred), -127, 127).astype(np.int8).reshape(-1))


def _colours(pixels: Pixels, there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Relative to the median level, so that the light does not count; what is brighter counts as the brightest shade."""
    levels = pixels[there].astype(np.float64)
    shade = np.minimum((levels / max(float(np.median(levels)), 1.0) * SHADES).astype(np.int64), SHADES - 1)
    counts = np.bincount(shade @ np.array([SHADES * SHADES, SHADES, 1]), minlength=SHADES**3)
    return np.asarray(np.round(np.sqrt(counts / counts.sum()) * 255).astype(np.uint8))
