"""What the photos of training look like, from afar: whether an image is a copy of one of them.

A copy that a generator made is softer than the photo. By the towers of `product` most such copies are no nearer to the photo than
unseen photos are to theirs: at a bound that 5 % of unseen Myntra photos lie below, 64 % of copies at 30 dB are found and 13 % at
26 dB. Seen as 8 × 8 pixels, it is all of those and 94 % of these.

Shapes: n photos, K numbers a thumbnail.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.imagegen.photos import Pixels

SIDE = 8
"""Pixels of a thumbnail's sides."""
COPY = 0.001
"""A distance at which an image surely is a copy: 93 % of photos at 30 dB are nearer to themselves."""
BLOCK = 4096
"""Photos that images are compared with at once."""


def thumbnail(pixels: Pixels) -> NDArray[np.uint8]:
    """An image at `SIDE` × `SIDE` places, in three colours (K,)."""
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.uint8).reshape(-1)


def ink(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much darker than white thumbnails are (n, K), of unit length."""
    found = 255.5 - thumbnails.astype(np.float32)  # a white image has some, too
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Memory:
    """Photos of training.

    Attributes:
        ids: Whose photos they are.
        thumbnails: Of each (n, K), n > 0.
        bound: An image that is nearer to one of them is memorised.
    """

    ids: tuple[str, ...]
    thumbnails: NDArray[np.uint8]
    bound: float

    @cached_property
    def _ink(self) -> NDArray[np.float32]:
        return ink(self.thumbnails)

    def nearest(self, images: Sequence[Pixels]) -> list[tuple[str, float]]:
        """Whose photo is most like each image, and 1 - cosine of the ink of both thumbnails, 0 to 1."""
        if not images:
            return []
        asked = ink(np.stack([thumbnail(image) for image in images]))
        best, rows = np.full(len(asked), -np.inf, dtype=np.float32), np.zeros(len(asked), dtype=np.int64)
        for start in range(0, len(self.ids), BLOCK):
            cosines = asked @ self._ink[start : start + BLOCK].T
            here = cosines.argmax(axis=1)
            values = cosines[np.arange(len(asked)), here]
            rows, best = np.where(values > best, here + start, rows), np.maximum(values, best)
        return [(self.ids[row], max(0.0, 1.0 - float(value))) for row, value in zip(rows, best, strict=True)]

    def bounded(self, unseen: Sequence[Pixels], share: float) -> "Memory":
        """The same with the bound that a share of unseen photos lies below; at least `COPY`."""
        return replace(self, bound=max(COPY, float(np.quantile([distance for _, distance in self.nearest(unseen)], share))))
