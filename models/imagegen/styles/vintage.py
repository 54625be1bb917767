"""Like an old colour print: warm, faded, with lifted blacks, cream whites and dark corners."""

from torch import Tensor

from models.imagegen.effects import coloured, distance_from, saturated
from models.imagegen.look import Look

BLACK = (0.16, 0.13, 0.14)
WHITE = (0.97, 0.91, 0.78)
"""What black and white have become."""


COLOUR = 0.85
"""How much of the colours is left."""


def render(pixels: Tensor) -> Tensor:
    """See the module."""
    black, white = coloured(BLACK, pixels), coloured(WHITE, pixels)
    faded = black + saturated(pixels, COLOUR).clamp(0, 1) * (white - black)
    return (faded * _corners(pixels)).clamp(0, 1)


def plain(pixels: Tensor) -> Tensor:
    """Without dark corners and tint."""
    black, white = coloured(BLACK, pixels), coloured(WHITE, pixels)
    return saturated((pixels / _corners(pixels) - black) / (white - black), 1 / COLOUR).clamp(0, 1)


def _corners(pixels: Tensor) -> Tensor:
    return 1 - (distance_from((0.5, 0.5), pixels) - 0.45).clamp(min=0) ** 2 * 1.3


STYLE = Look(
    name="vintage",
    render=render,
    plain=plain,
    template="{prompt}, vintage photograph, faded film colours, warm sepia tint, vignette, 1970s print",
    negative="modern, digital, oversaturated, text, watermark, blurry, deformed",
)
