"""The judge's network.

- a stem of two strided convolutions, then stages of one residual block each (He et al. 2016), each stage at half the resolution
- batch normalisation: it learns fastest on few passes, and what is judged never trains it
- a narrow layer before the heads: in its features sets of images are compared (FID, KID), and covariances of some hundred images
  have to be estimated there
- a head a label, for article types and base colours where the catalogue has them

Shapes: B photos, S x S pixels, C channels of a stage, D features.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STEM = 5
"""Pixels of the first convolution's side."""


class JudgeNet(nn.Module):
    """Photos to features and logits; `heads` are the number of classes of each label."""

    def __init__(self, channels: Sequence[int], features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        first = max(1, channels[0] // 2)
        self.stem = nn.Sequential(_convolution(3, first, STEM, 2), nn.ReLU(), _convolution(first, channels[0], 3, 2), nn.ReLU())
        before = (channels[0], *channels[:-1])
        self.stages = nn.Sequential(
            *(Stage(old, new, stride=2 if place else 1) for place, (old, new) in enumerate(zip(before, channels, strict=True)))
        )
        self.features = nn.Linear(channels[-1], features)
        self.heads = nn.ModuleDict({label: nn.Linear(features, classes) for label, classes in heads.items()})

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Photos (B, 3, S, S) from -1 to 1 to features (B, D) and logits (B, classes) by label."""
        pooled = self.stages(self.stem(x.contiguous(memory_format=torch.channels_last))).mean(dim=(2, 3))
        features = self.features(pooled)
        return features, {label: head(features) for label, head in self.heads.items()}


class Stage(nn.Module):
    """A strided convolution where the resolution or the channels change, and a residual block."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        same = stride == 1 and before == channels
        self.enter = nn.Identity() if same else nn.Sequential(_convolution(before, channels, 3, stride), nn.ReLU())
        self.one, self.two = (_convolution(channels, channels, 3, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, h, w) to (B, C, h / stride, w / stride)."""
        x = self.enter(x)
        return F.relu(x + self.two(F.relu(self.one(x))))


def _convolution(before: int, channels: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, channels, side, stride, padding=side // 2, bias=False),  # the normalisation has a bias
        nn.BatchNorm2d(channels),
    )
