"""Small photos: what is kept, what is made, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from catalog.errors import ImageError
from catalog.thumbnails import small

SIDE = 160


def encoded(size, kind="JPEG", mode="RGB", **options):
    buffer = io.BytesIO()
    rng = np.random.default_rng(size[0])
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def opened(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return image.format, image.size, image.mode, "exif" in image.info


@pytest.mark.parametrize("size", [(160, 160), (60, 80)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_small_jpeg_stays_as_it_is(size, mode):
    kept = encoded(size, mode=mode)
    assert small(kept, SIDE) == kept


def test_nothing_is_told_of_who_took_it_and_where():
    exif = Image.Exif()
    exif[0x010E] = "who and where"
    assert opened(encoded((60, 80), exif=exif))[3]
    assert opened(small(encoded((60, 80), exif=exif), SIDE)) == ("JPEG", (60, 80), "RGB", False)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encoded((320, 240)), (160, 120)),
        (encoded((161, 20)), (160, 20)),
        (encoded((100, 400), "PNG"), (40, 160)),
        (encoded((60, 80), "WEBP"), (60, 80)),
        (encoded((60, 80), mode="CMYK"), (60, 80)),
        (encoded((60, 80)) + b"x" * 20_000, (60, 80)),
    ],
    ids=("large", "a little", "png", "webp", "cmyk", "with more behind it"),
)
def test_others_are_made_small(data, size):
    assert opened(small(data, SIDE)) == ("JPEG", size, "RGB", False)


def test_a_photo_comes_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    assert opened(small(encoded((60, 80), exif=exif), SIDE))[1] == (80, 60)


@pytest.mark.parametrize("data", [b"", b"no photo", encoded((60, 80))[:300]])
def test_what_is_no_photo(data):
    with pytest.raises(ImageError):
        small(data, SIDE)
