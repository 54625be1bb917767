"""A photo is known again after a crop, in other light and mirrored, and told from one in other colours."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from catalog.errors import ImageError
from catalog.images import DecodedPhoto
from models.quality.memory.photos import NONE, Portrait, colours_agree, portrait, thumbnails_agree


def drawn(left: tuple[int, int, int], right: tuple[int, int, int] = (40, 40, 90)) -> Image.Image:
    """Something of two colours before a white wall, wider at its foot."""
    image = Image.new("RGB", (60, 80), "white")
    image.paste(left, (15, 15, 30, 65))
    image.paste(right, (30, 15, 45, 65))
    image.paste(left, (10, 50, 30, 65))
    return image


def of(image: Image.Image) -> Portrait:
    return portrait(DecodedPhoto(np.asarray(image, dtype=np.uint8)))


def agree(a: Portrait, b: Portrait) -> tuple[float, float]:
    """Of thumbnails and of colours."""
    return (
        float(thumbnails_agree(a.thumbnail[None], b.thumbnail[None])[0]),
        float(colours_agree(a.colours[None], b.colours[None])[0]),
    )


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda image: image.crop((5, 5, 55, 75)), 0.95),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.7), 0.95),
        (ImageOps.mirror, 0.95),
        (lambda image: image.resize((600, 800)), 0.85),  # pixels at the edges get colours of their own
    ],
    ids=["cropped", "darker", "mirrored", "larger"],
)
def test_the_same_thing_in_another_photo_agrees(change: Callable[[Image.Image], Image.Image], least: float) -> None:
    image = drawn((200, 60, 40))
    thumbnail, colours = agree(of(image), of(change(image)))
    assert thumbnail > 0.95
    assert colours > least


def test_the_same_thing_in_another_colour_does_not_agree() -> None:
    _, colours = agree(of(drawn((200, 60, 40))), of(drawn((60, 160, 60))))
    assert colours < 0.8


def test_a_photo_of_one_colour_and_none_at_all() -> None:
    assert of(Image.new("RGB", (20, 20), "white")).colours.any()
    assert portrait(None) is NONE
    assert np.isnan(agree(NONE, of(drawn((200, 60, 40))))).all()


def test_what_is_no_photo_is_refused() -> None:
    with pytest.raises(ImageError):
        portrait(b"no photo")


def test_an_encoded_photo_says_what_the_decoded_one_does() -> None:
    image, encoded = drawn((200, 60, 40)), io.BytesIO()
    image.save(encoded, "PNG")
    assert agree(portrait(encoded.getvalue()), of(image)) == pytest.approx((1.0, 1.0), abs=0.01)
