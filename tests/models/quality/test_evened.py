"""Photos are read equally sharp: a slightly blurred one is read as the one that it was made of."""

import numpy as np
import pytest
from bundles import COLOURS, draw
from PIL import Image, ImageFilter

from catalog.images import decode, sharpness
from models.quality.evened import evened

PHOTO = decode(draw("triangle", COLOURS["Red"], np.random.default_rng(0)))
TARGET = sharpness(PHOTO) / 3


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.7])
def test_two_photos_that_differ_by_a_blur_become_one(radius: float) -> None:
    soft = np.asarray(Image.fromarray(PHOTO).filter(ImageFilter.GaussianBlur(radius)), dtype=np.uint8)
    assert sharpness(soft) > TARGET
    before = np.abs(soft.astype(int) - PHOTO).mean()
    after = np.abs(evened(soft, TARGET).astype(int) - evened(PHOTO, TARGET)).mean()
    assert after < 1.0 and after < before / 2


def test_it_is_as_sharp_as_asked() -> None:
    assert sharpness(evened(PHOTO, TARGET)) == pytest.approx(TARGET, rel=0.05)


def test_what_is_not_sharper_is_left_as_it_is() -> None:
    assert evened(PHOTO, 1.0) is PHOTO
    assert evened(PHOTO[:2], 0.0).shape == (2, *PHOTO.shape[1:])
