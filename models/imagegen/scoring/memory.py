"""What the photos of training look like, from afar: whether an image is a copy of one of them.

A copy that a generator made is softer than the photo. Seen by the towers of `product` it is as far from the photo as photos of
other products are (a photo at 25 dB: 0.035 from itself, an unseen photo 0.046 from its nearest, in the median on Myntra). Seen as
8 × 8 pixels it is the photo again (0.0002 against 0.024).

Shapes: n photos, K numbers a thumbnail.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.imagegen.photos import Pixels

SIDE = 8
"""Pixels of a thumbnail's sides."""
BLOCK = 4096
"""Photos that images are compared with at once."""


def thumbnail(pixels: Pixels) -> NDArray[np.float32]:
    """How much darker than white an image is, at `SIDE` × `SIDE` places, in three colours (K,): of unit length."""
    small = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    ink = (255.5 - small).reshape(-1)  # a white image has some, too
    return np.asarray(ink / np.linalg.norm(ink))


@dataclass(frozen=True, eq=False)
class Memory:
    """Photos of training.

    Attributes:
        ids: Whose photos they are.
        thumbnails: Of each (n, K), n > 0.
        bound: An image that is nearer to one of them is memorised.
    """

    ids: tuple[str, ...]
    thumbnails: NDArray[np.float16]
    bound: float

    def nearest(self, images: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Whose photo is most like each image, and 1 - cosine of the thumbnails of both, 0 to 1."""
        return nearest(self.ids, self.thumbnails, np.stack([thumbnail(image) for image in images]))


def nearest(ids: Sequence[str], thumbnails: NDArray[np.float16], asked: NDArray[np.float32]) -> list[tuple[str, float]]:
    """See `Memory.nearest`; of thumbnails (m, K)."""
    best, rows = np.full(len(asked), -np.inf, dtype=np.float32), np.zeros(len(asked), dtype=np.int64)
    for start in range(0, len(thumbnails), BLOCK):
        cosines = asked @ thumbnails[start : start + BLOCK].astype(np.float32).T
        here = cosines.argmax(axis=1)
        values = cosines[np.arange(len(asked)), here]
        rows, best = np.where(values > best, here + start, rows), np.maximum(values, best)
    return [(ids[row], max(0.0, 1.0 - float(value))) for row, value in zip(rows, best, strict=True)]
