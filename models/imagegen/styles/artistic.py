"""Like a painted poster: even strokes, few strong colours, dark outlines, on paper."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.imagegen.effects import blurred, coloured, luma, reach, saturated
from models.imagegen.look import Look

STROKE = 1 / 40
"""Half the width of a stroke, as a share of the shorter side."""
LEVELS = 5
"""Brightnesses that are left."""
COLOUR = 1.4
"""How much further from grey colours are."""
PAPER = (0.98, 0.94, 0.85)


def painted(pixels: Tensor, radius: int) -> Tensor:
    """Each pixel as the mean of that quarter of its surroundings that is most even (Kuwahara et al. 1976): edges stay sharp."""
    light, step = luma(pixels), max(1, (radius + 1) // 2)
    means = F.pad(blurred(torch.cat([pixels, light, light * light], dim=1), max(1, radius // 2)), [step] * 4, mode="replicate")
    height, width = pixels.shape[-2:]
    quarters = [means[..., y : y + height, x : x + width] for y in (0, 2 * step) for x in (0, 2 * step)]
    uneven = [quarter[:, 4:5] - quarter[:, 3:4] ** 2 for quarter in quarters]
    least = torch.stack(uneven).amin(dim=0)
    total, count = torch.zeros_like(pixels), torch.zeros_like(light)
    for found, quarter in zip(uneven, quarters, strict=True):
        chosen = (found <= least).to(pixels.dtype)  # several where they are equally even
        total, count = total + chosen * quarter[:, :3], count + chosen
    return total / count


def render(pixels: Tensor) -> Tensor:
    """See the module."""
    radius = reach(pixels, STROKE)
    strokes = saturated(painted(pixels, radius), COLOUR).clamp(0, 1)
    light = luma(strokes)
    steps = light * (LEVELS - 1)
    whole = steps.floor()
    even = (whole + ((steps - whole - 0.5) * 1.5 + 0.5).clamp(0, 1)) / (LEVELS - 1)
    ink = ((blurred(light, radius) - light) * 2 - 0.06).clamp(0, 0.5)
    return ((strokes + even - light).clamp(0, 1) * (1 - ink) * coloured(PAPER, pixels)).clamp(0, 1)


def plain(pixels: Tensor) -> Tensor:
    """Without the paper, and with the colours that photos have; strokes and outlines stay."""
    return saturated(pixels / coloured(PAPER, pixels), 1 / COLOUR).clamp(0, 1)


STYLE = Look(
    name="artistic",
    render=render,
    plain=plain,
    template="{prompt}, painted poster, bold colours, dark outlines, brush strokes, art print",
    negative="photo, photorealistic, text, watermark, deformed",
)
