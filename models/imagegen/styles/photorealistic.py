"""As the photos of the catalogue are."""

from torch import Tensor

from models.imagegen.look import Look


def render(pixels: Tensor) -> Tensor:
    """The photos themselves."""
    return pixels


STYLE = Look(
    name="photorealistic",
    render=render,
    plain=render,
    template="{prompt}, product photo on a white background, studio light, sharp focus, high detail",
    negative="drawing, painting, illustration, text, watermark, blurry, deformed",
)
