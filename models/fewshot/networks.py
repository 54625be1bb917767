"""Networks that turn what a learner sees into a vector; MAML and ProtoNet use the same ones, so that they compare.

No layer looks at more than one row: batch normalisation with the statistics of the batch, as in the MAML paper, would let the
answer to one listing depend on those asked with it (Nichol et al. 2018 call that transduction, and it flatters the figures).
Group normalisation (Wu & He 2018) does not, and has no statistics to keep.

Shapes: n rows, D features, F width of the vector, C × H × V photos.
"""

import math
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.errors import TrainingError

BLOCKS = 4
"""Of the convolution net of Vinyals et al. 2016 and Finn et al. 2017."""
MIN_SIDE = 2**BLOCKS
"""Pixels: each block halves the photo."""


def prepared(inputs: NDArray[Any]) -> Tensor:
    """What the networks take: features float32 [n, D] as they are, photos uint8 [n, H, V, C] as float32 [n, C, H, V] in -1 to 1.

    Raises:
        TrainingError: photos too small for four halvings.
    """
    if inputs.dtype != np.uint8:
        return torch.from_numpy(np.asarray(inputs, dtype=np.float32))
    height, width = inputs.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise TrainingError(f"photos of {height} x {width} pixels: at least {MIN_SIDE} x {MIN_SIDE} are needed")
    pixels = torch.from_numpy(np.ascontiguousarray(inputs)).permute(0, 3, 1, 2)
    return pixels.to(torch.float32).div_(127.5).sub_(1.0)


class PhotoNetConfig(StrictModel):
    """The convolution net."""

    filters: PositiveInt = Field(32, description="channels of every block; the MAML paper has 32 on photos and 64 on Omniglot")
    groups: PositiveInt = Field(8, description="groups of channels that are normalised together; filters must be a multiple")
    gain: PositiveFloat = Field(
        2.0,
        description="length of a vector at the start, learned from there: how far apart classes are, squared, before a softmax",
    )

    @model_validator(mode="after")
    def _groups_divide_filters(self) -> Self:
        if self.filters % self.groups:
            raise ValueError(f"filters {self.filters} is no multiple of groups {self.groups}")
        return self

    def body(self, shape: tuple[int, ...]) -> "PhotoNet":
        """A new net for photos of the shape (H, V, C)."""
        return PhotoNet(shape[2], self.filters, self.groups, self.gain)


class FeatureNetConfig(StrictModel):
    """The small net on features."""

    hidden: PositiveInt = Field(64, description="width of the hidden layer; a taught task stores twice as many floats a feature")
    gain: PositiveFloat = Field(
        4.0,
        description="length of a vector at the start, learned from there: how far apart classes are, squared, before a softmax",
    )

    def body(self, shape: tuple[int, ...]) -> "FeatureNet":
        """A new net for features of the shape (D)."""
        return FeatureNet(shape[0], self.hidden, self.gain)


class PhotoNet(nn.Module):
    """Four blocks of 3 × 3 convolution, normalisation, 2 × 2 max pooling and ReLU: the net of the MAML paper.

    Pooling before the ReLU gives the same as after it, for a quarter of the work.
    """

    def __init__(self, channels: int, filters: int, groups: int, gain: float) -> None:
        super().__init__()
        widths = (channels, *[filters] * BLOCKS)
        self.blocks = nn.Sequential(*(_block(widths[i], filters, groups) for i in range(BLOCKS)))
        self.log_gain = nn.Parameter(torch.tensor(math.log(gain)))

    def forward(self, x: Tensor) -> Tensor:
        """Photos (n, C, H, V) to vectors (n, F), F = filters · ⌊H/16⌋ · ⌊V/16⌋; their length is about the gain."""
        found: Tensor = self.blocks(x).flatten(1)
        return found * (self.log_gain.exp() / math.sqrt(found.shape[1]))


def _block(channels: int, filters: int, groups: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, padding=1, bias=False),  # the normalisation has a bias
        nn.GroupNorm(groups, filters),
        nn.MaxPool2d(2),
        nn.ReLU(),
    )


class FeatureNet(nn.Module):
    """Features plus what two layers make of them, times a gain.

    The second layer begins at zero: before training, classes are told apart by the features alone, which `product` made for that.
    """

    def __init__(self, width: int, hidden: int, gain: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.down.weight)
        self.log_gain = nn.Parameter(torch.tensor(math.log(gain)))

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, D) of unit length to vectors (n, D)."""
        found: Tensor = x + self.down(torch.relu(self.up(x)))
        return found * self.log_gain.exp()


def class_means(vectors: Tensor, codes: Tensor, ways: int) -> Tensor:
    """Means (W, F) of the vectors (n, F) of each class; every class needs one."""
    member = torch.nn.functional.one_hot(codes, ways).to(vectors.dtype)
    return (member / member.sum(0)).T @ vectors


def nearest_mean(means: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (W, F) and biases (W) of the linear classifier that is as good as the nearest mean.

    -|x - m|² = 2 m·x - |m|² - |x|², and the last term is the same for all classes (Snell et al. 2017, section 2.4).
    """
    return 2 * means, -means.square().sum(1)


def balanced_loss(logits: Tensor, codes: Tensor) -> Tensor:
    """Cross-entropy of logits (n, W), every class counting the same however many examples it has."""
    counts = torch.bincount(codes, minlength=logits.shape[1]).to(logits.dtype)
    losses = torch.nn.functional.cross_entropy(logits, codes, reduction="none")
    return (losses / counts[codes]).sum() / (counts > 0).sum()
