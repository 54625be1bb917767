"""One batch of listings, and of reviews, as tensors.

Shapes: B listings, T title tokens, D description tokens, A attributes, H × W pixels, S segments of the price prior, N article
types; R reviews, K kinds of fault. Sizes T, D and A are those of the longest row of the batch and may be 0, as may H and W.
Missing is 0 for tokens, names and categories, False for a photo, NaN for a price, 0 for a contribution to a prior.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from catalog.listing import CATEGORY_LEVELS
from models.product.parts import FACTS, PRIOR_SEGMENTS, WORDS

T = TypeVar("T")


def moved(batch: T, device: torch.device | str, non_blocking: bool) -> T:
    """A batch on another device."""
    kind: Any = type(batch)
    return kind(**{f.name: getattr(batch, f.name).to(device, non_blocking=non_blocking) for f in fields(kind)})  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Sizes:
    """What the encoders fix: tokens, attribute names and values (each with its unknown), values of each category level."""

    tokens: int
    names: int
    values: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class Inputs:
    """A batch of listings; see the module's legend."""

    title: Tensor  # (B, T) int64
    description: Tensor  # (B, D) int64
    image: Tensor  # (B, 3, H, W) uint8
    has_image: Tensor  # (B,) bool
    names: Tensor  # (B, A) int64
    values: Tensor  # (B, A) int64
    price: Tensor  # (B,) float32, standardised log
    categories: Tensor  # (B, 3) int64
    price_prior: Tensor  # (B, S) float32, in standardised logs
    neighbours: Tensor  # (B, 14) float32, `models.product.priors.neighbours.NAMES`; 0 where there are none
    title_prior: Tensor  # (B, N) float32, log probability of each article type, of which 0 is the missing one; 0 without a title
    facts: Tensor  # (B, 3) float32, log1p of the sizes named by FACTS

    def __len__(self) -> int:
        return int(self.title.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Inputs":
        """The batch on another device."""
        return moved(self, device, non_blocking)

    def only(self, modalities: Collection[str]) -> "Inputs":
        """The batch with every other modality missing."""
        hidden: dict[str, Tensor] = {}
        for name in ("title", "description"):
            if name not in modalities:
                hidden[name] = getattr(self, name)[:, :0]
        if "image" not in modalities:
            hidden |= {"image": self.image[:, :, :0, :0], "has_image": torch.zeros_like(self.has_image)}
        if "attributes" not in modalities:
            hidden |= {"names": self.names[:, :0], "values": self.values[:, :0]}
        if "price" not in modalities:
            hidden["price"] = torch.full_like(self.price, torch.nan)
        if "categories" not in modalities:
            hidden["categories"] = torch.zeros_like(self.categories)
        known = [("categories" if name in CATEGORY_LEVELS else name) in modalities for name in PRIOR_SEGMENTS]
        hidden["price_prior"] = self.price_prior * self.price_prior.new_tensor(known)
        if not set(WORDS) <= set(modalities):
            hidden["neighbours"] = torch.zeros_like(self.neighbours)
        hidden["title_prior"] = self.title_prior * float("title" in modalities)
        hidden["facts"] = self.facts * self.facts.new_tensor([name in modalities for name in FACTS])
        return replace(self, **hidden)


@dataclass(frozen=True)
class Reviews:
    """A batch of reviews with what their writers thought; a target that is not known is NaN."""

    title: Tensor  # (R, T) int64
    text: Tensor  # (R, D) int64
    prior: Tensor  # (R,) float32, logit of "recommended"
    recommended: Tensor  # (R,) float32 in {0, 1}
    rating: Tensor  # (R,) float32 in 1…5

    def __len__(self) -> int:
        return int(self.title.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Reviews":
        """The batch on another device."""
        return moved(self, device, non_blocking)


@dataclass(frozen=True)
class Batch:
    """What a training step sees: listings, which fault each has (B, K) bool, and reviews (maybe none)."""

    listings: Inputs
    faults: Tensor
    reviews: Reviews

    def __len__(self) -> int:
        return len(self.listings)

    @property
    def good(self) -> Tensor:
        """Listings (B,) without a fault."""
        return ~self.faults.any(dim=1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return moved(self, device, non_blocking)
