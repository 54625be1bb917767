"""What styles do to photos.

Shapes: B photos, H height, W width; pixels (B, 3, H, W) RGB in 0 to 1, planes (B, 1, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BORDER = 1 / 32
"""Width of the border that shows the background, as a share of the shorter side."""
SAME = 0.1
"""Largest difference of a channel from the background's colour at which a pixel may be background."""
GAP = 1 / 64
"""Half the width of gaps in an outline through which the background is not seen, as a share of the shorter side."""


def reach(pixels: Tensor, share: float) -> int:
    """A share of the shorter side in whole pixels, at least 1."""
    return max(1, round(min(pixels.shape[-2:]) * share))


def luma(pixels: Tensor) -> Tensor:
    """Brightness (B, 1, H, W), BT.601."""
    return pixels[:, :1] * 0.299 + pixels[:, 1:2] * 0.587 + pixels[:, 2:] * 0.114


def blurred(planes: Tensor, radius: int) -> Tensor:
    """Means of squares of 2 * radius + 1 pixels; the edge goes on beyond the edge. Running sums: pooling is ten times slower."""
    width = 2 * radius + 1
    for dim in (-1, -2):
        sums = F.pad(_beyond(planes, radius, dim).cumsum(dim), (1, 0) if dim == -1 else (0, 0, 1, 0))
        planes = (sums.narrow(dim, width, planes.shape[dim]) - sums.narrow(dim, 0, planes.shape[dim])) / width
    return planes


def grown(planes: Tensor, radius: int) -> Tensor:
    """The largest value of squares of 2 * radius + 1 pixels."""
    for dim in (-1, -2):
        wide, length = _beyond(planes, radius, dim), planes.shape[dim]
        for start in range(2 * radius + 1):
            planes = torch.maximum(planes, wide.narrow(dim, start, length))
    return planes


def _beyond(planes: Tensor, radius: int, dim: int) -> Tensor:
    first, last = planes.narrow(dim, 0, 1), planes.narrow(dim, planes.shape[dim] - 1, 1)
    return torch.cat([first] * radius + [planes] + [last] * radius, dim=dim)


def saturated(pixels: Tensor, amount: float) -> Tensor:
    """Colours further from grey (amount above 1) or nearer to it, at the same brightness."""
    return torch.lerp(luma(pixels), pixels, amount)


def coloured(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    """A colour as (1, 3, 1, 1)."""
    return torch.tensor(colour, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def distance_from(centre: tuple[float, float], like: Tensor) -> Tensor:
    """How far pixels are from a place (x, y in 0 to 1): (1, 1, H, W), 1 at the corner that is furthest from the middle."""
    y, x = (torch.linspace(0, 1, n, dtype=like.dtype, device=like.device) for n in like.shape[-2:])
    return torch.hypot(y[:, None] - centre[1], x[None, :] - centre[0]).div(0.5**0.5)[None, None]


def border_colour(pixels: Tensor) -> Tensor:
    """The background's colour (B, 3, 1, 1): the median of the border."""
    width = reach(pixels, BORDER)
    sides = (pixels[..., :width, :], pixels[..., -width:, :], pixels[..., :, :width], pixels[..., :, -width:])
    return torch.cat([side.flatten(2) for side in sides], dim=2).median(dim=2).values[..., None, None]


def background(pixels: Tensor, colour: Tensor, same: float = SAME) -> Tensor:
    """How surely pixels belong to a background of a colour (B, 1, H, W).

    A pixel belongs to it that has about this colour (surely within a third of `same`) and sees the border in a straight line
    across nothing but such pixels: what is white inside a product on white stays the product's, even where its outline has
    narrow gaps.
    """
    gap = reach(pixels, GAP)
    alike = (1.5 - 1.5 * (pixels - colour).abs().amax(dim=1, keepdim=True) / same).clamp(0, 1)
    wide = -grown(-alike, gap)
    seen = [wide.cummin(dim).values for dim in (2, 3)] + [wide.flip(dim).cummin(dim).values.flip(dim) for dim in (2, 3)]
    return torch.minimum(alike, grown(torch.stack(seen).amax(dim=0), gap))
