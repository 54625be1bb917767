"""What the judge learns from: real photos and their labels.

Photos are changed anew in every step, so that it does not hang on what tells photos from drawings: where exactly things stand,
how sharp they are, and the grain of JPEG.

Shapes: B photos of S x S pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from models.imagegen.config import JudgeConfig
from models.imagegen.judge.network import JudgeNet
from models.imagegen.photos import Pixels
from models.training.distributed import drawn_rows, sum_over_ranks
from models.training.task import Task

UNLABELLED = -1
"""Code of a photo without a label, or with one that is too rare to be learned."""

BINOMIAL = (0.25, 0.5, 0.25)
SOFTENED = 3
"""Times that the strongest blur softens with `BINOMIAL`: a deviation of 1.2 pixels."""

Codes = Mapping[str, NDArray[np.int64]]
"""Class of each photo [n], by label."""


@dataclass(frozen=True)
class JudgeBatch:
    """Photos with their classes."""

    pixels: Tensor  # (B, S, S, 3) uint8
    codes: dict[str, Tensor]  # (B,) int64 by label, UNLABELLED where there is none

    def __len__(self) -> int:
        return len(self.pixels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "JudgeBatch":
        """The batch on another device."""
        codes = {label: code.to(device, non_blocking=non_blocking) for label, code in self.codes.items()}
        return JudgeBatch(self.pixels.to(device, non_blocking=non_blocking), codes)


class JudgeDataset(Dataset[JudgeBatch]):
    """Photos in memory, of one size; the first `low_res_epochs` passes see them smaller (progressive resizing, Howard 2018)."""

    def __init__(self, pixels: Pixels, codes: Codes, low_res_epochs: int = 0) -> None:
        self.pixels, self.codes, self.low_res_epochs = pixels, codes, low_res_epochs

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> JudgeBatch:
        """One batch of (epoch, index); epoch -1 asks for photos as they are."""
        rows = [index for _, index in keys]
        codes = {label: torch.from_numpy(code[rows]) for label, code in self.codes.items()}
        pixels = torch.from_numpy(self.pixels[rows])
        return JudgeBatch(smaller(pixels) if 0 <= keys[0][0] < self.low_res_epochs else pixels, codes)


class JudgeTask(Task):
    """The network with its loss: the cross-entropies of its heads, added."""

    def __init__(self, net: JudgeNet, config: JudgeConfig) -> None:
        super().__init__()
        self.net, self.config = net, config

    def training_loss(self, batch: JudgeBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Over photos that are changed."""
        return self._terms(changed(scaled(batch.pixels), self.config, generator), batch, self.config.smoothing)[0]

    def validation_loss(self, batch: JudgeBatch) -> dict[str, Tensor]:
        """Over photos as they are, with the share of right answers of each head."""
        terms, logits = self._terms(scaled(batch.pixels), batch, 0.0)
        for label, found in logits.items():
            known = batch.codes[label] != UNLABELLED
            if known.any():
                terms[f"{label}_accuracy"] = (found.argmax(-1) == batch.codes[label])[known].float().mean()
        return terms

    def _terms(self, x: Tensor, batch: JudgeBatch, smoothing: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        _, logits = self.net(x)
        terms = {label: _likelihood(found, batch.codes[label], smoothing) for label, found in logits.items()}
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}, logits


def smaller(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 at three quarters of the side."""
    side = max(1, round(0.75 * pixels.shape[1]))
    found = F.interpolate(pixels.permute(0, 3, 1, 2).float(), size=(side, side), mode="bilinear", antialias=True)
    return found.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def scaled(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 to (B, 3, S, S) from -1 to 1."""
    return pixels.permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub(1.0)


def changed(x: Tensor, config: JudgeConfig, generator: torch.Generator) -> Tensor:
    """Photos (B, 3, S, S) moved, zoomed, softened and with noise, each by its own draw.

    They are not mirrored: shops show a kind of product from one side. All of it is in single precision, also where the network
    that looks at them multiplies in bf16.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _changed(x, config, generator)


def _changed(x: Tensor, config: JudgeConfig, generator: torch.Generator) -> Tensor:
    def drawn(*columns: int) -> Tensor:
        return drawn_rows(len(x), lambda rows: torch.rand(rows, *columns, generator=generator)).to(x.device)

    scale = 1 + config.zoom * (2 * drawn() - 1)
    where = x.new_zeros(len(x), 2, 3)
    where[:, 0, 0] = where[:, 1, 1] = scale
    where[:, :, 2] = 2 * config.shift * (2 * drawn(2) - 1)  # a photo is 2 wide
    grid = F.affine_grid(where, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    strength = (config.blur * drawn()).view(-1, 1, 1, 1)
    x = torch.lerp(x, softened(x), strength)
    shape = x.shape[1:]
    noise = drawn_rows(len(x), lambda rows: torch.randn((rows, *shape), generator=generator)).to(x.device)
    return x + 2 * config.noise * drawn().view(-1, 1, 1, 1) * noise


def softened(x: Tensor) -> Tensor:
    """Photos (B, 3, S, S) after `SOFTENED` passes of a binomial filter; edges go on outwards."""
    line = x.new_tensor(BINOMIAL)
    kernel = (line[:, None] * line[None, :]).expand(x.shape[1], 1, 3, 3)
    for _ in range(SOFTENED):
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])
    return x


def _likelihood(logits: Tensor, codes: Tensor, smoothing: float) -> Tensor:
    """Mean over the photos that have the label, in training over those of every rank; 0 where none has."""
    lost = F.cross_entropy(logits.float(), codes, ignore_index=UNLABELLED, reduction="sum", label_smoothing=smoothing)
    found = torch.stack([lost, (codes != UNLABELLED).sum().to(lost.dtype)])
    total, count = sum_over_ranks(found) if torch.is_grad_enabled() else found
    mean: Tensor = total / count.clamp(min=1)
    return mean
