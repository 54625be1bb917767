"""Photos as the generator learns and draws them: of one size, whole, on a background of their own.

Shapes: pixels (height, width, 3) uint8, RGB.
"""

from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.images import DecodedPhoto, decode
from models.imagegen.answers import Size

Pixels = NDArray[np.uint8]


def fitted(photo: bytes | DecodedPhoto, size: Size) -> Pixels:
    """The whole photo in the middle of an image of `size`; what is left over has the median colour of the edge beside it.

    Raises:
        ImageError: it cannot be decoded.
    """
    width, height = size
    pixels = decode(photo, max_side=4 * max(size))
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    inner = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = np.asarray(Image.fromarray(pixels).resize(inner, Image.Resampling.BICUBIC), dtype=np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    out = np.empty((height, width, 3), dtype=np.uint8)
    out[top : top + inner[1], left : left + inner[0]] = small
    out[:top] = _median(small[:1])
    out[top + inner[1] :] = _median(small[-1:])
    out[:, :left] = _median(small[:, :1])
    out[:, left + inner[0] :] = _median(small[:, -1:])
    return out


def _median(edge: Pixels) -> Pixels:
    return cast(Pixels, np.median(edge.reshape(-1, 3), axis=0).astype(np.uint8))
