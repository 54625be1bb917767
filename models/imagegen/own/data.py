"""Photos with their captions as batches of one size each.

Shapes: n examples, B of a batch, H x W pixels, T tokens, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from catalog.images import ImageStore
from models.imagegen.answers import STYLES, Size
from models.imagegen.config import ImagegenModelConfig
from models.imagegen.own.task import Batch
from models.imagegen.photos import fitted
from models.imagegen.styles import looks
from models.training.batches import mix, part_of

PLAIN = STYLES.index("photorealistic")


@dataclass(frozen=True)
class Captions:
    """Texts of n products, `counts` (n,) each, one after another from `starts` (n,), as the network is told them."""

    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    ids: NDArray[np.int32]  # (texts, T)
    features: NDArray[np.float16]  # (texts, F)


@dataclass
class PhotoDataset(Dataset[Batch]):
    """Photos under one of their captions, some in another style; both are drawn anew in every epoch.

    Attributes:
        images: Where the photos are.
        products: Their ids, n.
        captions: Of each of them.
        styled: (n,) the style that the catalogue says a photo has, as its number; -1 where it says none.
        config: Sizes and how many are restyled.
        seed: Of what is drawn.
    """

    images: ImageStore
    products: Sequence[Any]
    captions: Captions
    styled: NDArray[np.int64]
    config: ImagegenModelConfig
    seed: int

    def __len__(self) -> int:
        return len(self.products)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """One batch of (epoch, index); the whole's first draws its size. In epoch -1 the first caption counts, and no style."""
        first = np.random.default_rng(mix(self.seed, *(max(0, part + 1) for part in part_of(keys).whole[0])))
        size = self.config.sizes[int(first.integers(len(self.config.sizes)))]
        drawn = [self._drawn(epoch, index) for epoch, index in keys]
        texts, styles = (np.array(part, dtype=np.int64) for part in zip(*drawn, strict=True))
        pixels = self.pixels([index for _, index in keys], size)
        ids = self.captions.ids[texts]
        return Batch(
            pixels=restyled(pixels, torch.from_numpy(np.where(self.styled[[i for _, i in keys]] < 0, styles, PLAIN))),
            ids=torch.from_numpy(ids[:, : max(1, int((ids != 0).any(axis=0).sum()))].astype(np.int64)),
            features=torch.from_numpy(self.captions.features[texts].astype(np.float32)),
            styles=torch.from_numpy(styles),
        )

    def pixels(self, rows: Sequence[int], size: Size) -> Tensor:
        """(B, 3, H, W) in [-1, 1]."""
        photos = (self.images.get(self.products[row]) for row in rows)
        return as_tensor(np.stack([fitted(photo, size) for photo in photos if photo is not None]))

    def _drawn(self, epoch: int, index: int) -> tuple[int, int]:
        """Which text, and which style."""
        start, own = int(self.captions.starts[index]), int(self.styled[index])
        if epoch < 0:
            return start, max(own, PLAIN)
        rng = np.random.default_rng(mix(self.seed, epoch, index))
        text = start + int(rng.integers(self.captions.counts[index]))
        if own >= 0 or rng.random() >= self.config.styles.share:
            return text, max(own, PLAIN)
        return text, 1 + int(rng.integers(len(STYLES) - 1))


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def restyled(pixels: Tensor, styles: Tensor) -> Tensor:
    """Photos (B, 3, H, W) in [-1, 1], each as its style (B,) shows it."""
    out = pixels.clone()
    for number in set(styles.tolist()) - {PLAIN}:
        rows = styles == number
        out[rows] = looks()[STYLES[number]].render((pixels[rows] + 1) / 2) * 2 - 1
    return out
