"""One batch of listings as tensors.

Shapes: B listings, T title tokens, D description tokens, A attributes, H × W pixels. Sizes T, D and A are those of the
longest row of the batch and may be 0. Missing is 0 for tokens, names and categories, False for a photo, NaN for a price.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

MODALITIES = ("title", "description", "image", "attributes", "price", "categories")
"""What a listing consists of; `attributes` are the descriptive fields and the free attributes together."""


@dataclass(frozen=True)
class Inputs:
    """A batch; see the module's legend."""

    title: Tensor  # (B, T) int64
    description: Tensor  # (B, D) int64
    image: Tensor  # (B, 3, H, W) uint8
    has_image: Tensor  # (B,) bool
    names: Tensor  # (B, A) int64
    values: Tensor  # (B, A) int64
    price: Tensor  # (B,) float32, standardised log
    categories: Tensor  # (B, 3) int64

    def __len__(self) -> int:
        return int(self.title.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Inputs":
        """The batch on another device."""
        return Inputs(**{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking) for f in fields(self)})

    def only(self, modalities: Collection[str]) -> "Inputs":
        """The batch with every other modality missing."""
        hidden: dict[str, Tensor] = {}
        for name in ("title", "description"):
            if name not in modalities:
                hidden[name] = getattr(self, name)[:, :0]
        if "image" not in modalities:
            hidden["has_image"] = torch.zeros_like(self.has_image)
        if "attributes" not in modalities:
            hidden |= {"names": self.names[:, :0], "values": self.values[:, :0]}
        if "price" not in modalities:
            hidden["price"] = torch.full_like(self.price, torch.nan)
        if "categories" not in modalities:
            hidden["categories"] = torch.zeros_like(self.categories)
        return replace(self, **hidden)
