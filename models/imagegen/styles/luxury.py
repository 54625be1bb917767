"""Like the page of a magazine: the product in warm light before a dark gradient."""

import torch
from torch import Tensor

from models.imagegen.effects import background, border_colour, coloured, distance_from, grown, reach
from models.imagegen.look import Look

LIGHT, DARK = (0.72, 0.60, 0.45), (0.15, 0.10, 0.08)
"""The ground where the light falls, and where it does not reach."""
SPOT = (0.5, 0.42)
"""Where the light falls: x and y."""
EDGE = 1 / 50
"""Width of the product's edge, which the old ground shines into, as a share of the shorter side."""


GRAIN = 0.12
"""How far a drawn ground may be from the right one, as the difference of a channel."""


def render(pixels: Tensor) -> Tensor:
    """See the module."""
    colour = border_colour(pixels)
    there, ground = background(pixels, colour), _ground(pixels)
    shaded = ground * (pixels / colour.clamp(min=0.1)).clamp(0, 1)
    contrast = pixels + 0.35 * pixels * (1 - pixels) * (2 * pixels - 1)
    return torch.lerp(contrast, shaded, grown(there, reach(pixels, EDGE))).clamp(0, 1)


def plain(pixels: Tensor) -> Tensor:
    """With a white ground."""
    ground = _ground(pixels)
    there = background(pixels, ground, GRAIN)
    edge = torch.lerp(pixels / ground, torch.ones_like(pixels), there)
    return torch.lerp(pixels, edge, grown(there, reach(pixels, EDGE))).clamp(0, 1)


def _ground(pixels: Tensor) -> Tensor:
    far = (distance_from(SPOT, pixels) * 1.15).clamp(0, 1)
    return torch.lerp(coloured(LIGHT, pixels), coloured(DARK, pixels), far * far * (3 - 2 * far))


STYLE = Look(
    name="luxury",
    render=render,
    plain=plain,
    template="{prompt}, luxury product photography, dark warm background, soft spotlight, elegant, magazine advertisement",
    negative="white background, cheap, cluttered, text, watermark, blurry, deformed",
)
