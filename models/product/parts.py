"""What a listing consists of, and which part of it counts where. Every other file names parts by these tuples."""

import torch
from torch import Tensor

from catalog.listing import CATEGORY_LEVELS

MODALITIES = ("title", "description", "image", "attributes", "price", "categories")
"""What a client may send or withhold; `attributes` are the descriptive fields and the free attributes together."""

SEGMENTS = ("title", "description", "image", "attributes")
"""Parts that are read alone as well."""

PARTS = (*SEGMENTS, "price", *CATEGORY_LEVELS)
"""What a view shows or hides."""

WHOLE, TITLE, PHOTO = 0, 1 + SEGMENTS.index("title"), 1 + SEGMENTS.index("image")
"""Standard views: the whole listing, then each of `SEGMENTS` alone."""

PRIOR_SEGMENTS = ("title", "description", "attributes", *CATEGORY_LEVELS)
"""Parts that the linear prior of the price reads."""

WORDS = ("title", "description", "attributes", "categories")
"""Modalities in which neighbours are near: they are known only where all of these are shown."""

FACTS = ("title", "description", "attributes")
"""Parts whose size is told: characters of the texts, number of pairs."""


def standard_views() -> Tensor:
    """Which of `PARTS` each standard view shows, (1 + segments, parts) bool."""
    alone = torch.eye(len(PARTS), dtype=torch.bool)[: len(SEGMENTS)]
    return torch.cat([torch.ones(1, len(PARTS), dtype=torch.bool), alone])
