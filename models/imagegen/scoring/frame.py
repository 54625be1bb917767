"""The part of an image that a photo of the catalogue would have shown.

Photos are learned whole, on a background that fills what is left of the image (`models.imagegen.photos.fitted`); whatever knows
photos knows them without it. The towers of `product` take 88 % of Myntra's photos of 60 × 80 for what they show where they come
filled up to 64 × 64, and 93 % where that is taken off again.
"""

import numpy as np
from numpy.typing import NDArray

from models.imagegen.photos import Pixels

APART = 24
"""Difference of a channel (of 255) from the border's colour at which a pixel belongs to what is shown."""
FEW = 0.03
"""Share of such pixels in a row or column that is still taken for background."""


def framed(pixels: Pixels, aspect: float) -> Pixels:
    """The middle of an image (H, W, 3), of `aspect` = width / height, or more of it where more than background is there."""
    height, width = pixels.shape[:2]
    inside = _shown(pixels)
    if width > aspect * height:
        left = _margin(inside.mean(axis=0), (width - aspect * height) / 2)
        return pixels[:, left : width - left]
    top = _margin(inside.mean(axis=1), (height - width / aspect) / 2)
    return pixels[top : height - top]


def _shown(pixels: Pixels) -> NDArray[np.bool_]:
    edges = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[0], pixels[-1]])
    colour = np.median(edges, axis=0).astype(np.int16)
    return np.asarray(np.abs(pixels.astype(np.int16) - colour).max(axis=2) > APART)


def _margin(shares: NDArray[np.float64], most: float) -> int:
    """How many lines can be taken off at both ends, at most `most`."""
    there = np.flatnonzero(shares > FEW)
    free = min(int(there[0]), len(shares) - 1 - int(there[-1])) if len(there) else len(shares)
    return min(round(most), free)
