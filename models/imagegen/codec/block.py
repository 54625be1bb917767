"""Latents without a network: principal components of 8 x 8 blocks, and a decoder that sees the neighbours.

- encoder: the first K principal components of blocks of 8 x 8 x 3 (Karhunen-Loeve transform), which of all linear transforms of
  blocks keeps most; the discrete cosine transform of DCTdiff (Ning et al. 2025) is what it comes near to
- decoder: least squares from the 3 x 3 blocks around a block to its pixels, so that no seams show
- tempered scales: a component of deviation s is divided by s^t, so that fine detail is small beside coarse shape, as in photos

Shapes: B images, H x W pixels, h x w = H/8 x W/8 blocks, C = K numbers a block, P = 192 numbers of a block in pixels.
"""

from collections.abc import Iterable

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor
from torch.nn import functional as F

from models.imagegen.config import CodecConfig

SIDE = 8
"""Pixels of a block on each side."""
PIXELS = 3 * SIDE * SIDE
RIDGE = 1e-4
"""Penalty of the decoder, relative to the latents' variance: it only keeps the solution finite."""


class BlockCodec(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Linear both ways; see the module."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.factor = channels, SIDE
        self.register_buffer("centre", torch.zeros(PIXELS))
        self.register_buffer("analysis", torch.zeros(channels, 3, SIDE, SIDE))
        self.register_buffer("synthesis", torch.zeros(PIXELS, channels, 3, 3))

    @classmethod
    def fit(cls, batches: Iterable[Tensor], config: CodecConfig) -> "BlockCodec":
        """Fit on batches of pixels (B, 3, H, W) in [-1, 1], which are gone through three times.

        Raises:
            ValueError: there is no batch.
        """
        batches = list(batches)
        codec: BlockCodec = cls(config.coefficients)
        centre, covariance = _moments([_blocks(pixels).movedim(1, -1).flatten(0, -2) for pixels in batches])
        values, vectors = torch.linalg.eigh(covariance)
        values, vectors = values.flip(0)[: codec.channels], vectors.flip(1)[:, : codec.channels]
        deviations = values.clamp(min=1e-8).sqrt()
        scales = deviations**config.tempering
        scales = scales * (deviations / scales).square().mean().sqrt()  # unit variance in the mean over channels
        codec.centre.copy_(centre)
        codec.analysis.copy_((vectors / scales).T.reshape(-1, 3, SIDE, SIDE))
        codec.synthesis.copy_(_decoder(codec, batches))
        return codec

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C, h, w)."""
        offset = self.analysis.flatten(1) @ self.centre
        latents: Tensor = F.conv2d(pixels, self.analysis, stride=SIDE) - offset[:, None, None]
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 3, H, W)."""
        wide = F.pad(latents, (1, 1, 1, 1), mode="replicate")
        return F.pixel_shuffle(F.conv2d(wide, self.synthesis, self.centre), SIDE)


def _blocks(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) to (B, P, h, w)."""
    return F.pixel_unshuffle(pixels, SIDE)


def _moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean (P) and covariance (P, P) of rows."""
    rows = torch.cat(list(parts)).double()
    centre = rows.mean(dim=0)
    rows = rows - centre
    return centre.float(), (rows.T @ rows / len(rows)).float()


def _decoder(codec: BlockCodec, batches: Iterable[Tensor]) -> Tensor:
    """(P, C, 3, 3): least squares from 3 x 3 neighbours' latents to a block."""
    inputs = codec.channels * 9
    gram, right = torch.zeros(inputs, inputs, dtype=torch.float64), torch.zeros(inputs, PIXELS, dtype=torch.float64)
    rows = 0
    for pixels in batches:
        latents = F.pad(codec.encode(pixels), (1, 1, 1, 1), mode="replicate")
        seen = F.unfold(latents, 3).movedim(1, -1).flatten(0, 1).double()
        wanted = (_blocks(pixels).movedim(1, -1).flatten(0, -2) - codec.centre).double()
        gram += seen.T @ seen
        right += seen.T @ wanted
        rows += len(seen)
    gram += RIDGE * rows * torch.eye(inputs, dtype=torch.float64)
    found: Tensor = torch.linalg.solve(gram, right).float()
    return found.T.reshape(PIXELS, codec.channels, 3, 3)
