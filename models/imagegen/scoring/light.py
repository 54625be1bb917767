"""Exposure and background of images (height, width, 3), uint8 RGB."""

from typing import Self

import numpy as np
from pydantic import Field

from catalog.images import luma
from configs.schema import Share, StrictModel
from models.imagegen.photos import Pixels

BLACK = 0.015
"""Luma of a pixel that shows nothing: photos of black things are lighter."""
WHITE = 235
"""Least channel of a pixel that counts as white; drawn white is not even."""
BORDER = 1 / 32
"""Width of the border, as a share of the shorter side."""


class Light(StrictModel):
    """How light the photos of a catalogue are: the means of their luma, 0 to 1."""

    low: Share = Field(description="5 % of photos are darker")
    high: Share = Field(description="5 % of photos are lighter")

    @classmethod
    def fit(cls, means: list[float]) -> Self:
        """Of the mean luma of each photo."""
        low, high = np.quantile(means, [0.05, 0.95])
        return cls(low=float(low), high=float(high))

    def exposure(self, pixels: Pixels) -> float:
        """1 where an image is as light as photos are, and nothing in it is black without any shade.

        It falls in proportion to the mean luma where that is below `low`, so that a black image has 0, and likewise to what is
        left up to white where it is above `high`, and with the share of pixels that are black.
        """
        seen = luma(pixels)
        mean = float(seen.mean())
        lit = min(1.0, mean / max(self.low, 1e-3), (1 - mean) / max(1 - self.high, 1e-3))
        return max(0.0, lit) * float(1 - (seen < BLACK).mean())


def white_background(pixels: Pixels) -> float:
    """Share of the border's pixels that are white."""
    width = max(1, round(min(pixels.shape[:2]) * BORDER))
    white = pixels.min(axis=2) >= WHITE
    inner = white[width:-width, width:-width]
    return float((white.sum() - inner.sum()) / (white.size - inner.size))
