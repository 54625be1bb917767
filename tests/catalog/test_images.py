import io
import pickle
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError, ImageError
from catalog.images import DecodedPhoto, ImageStore, decode


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table({"product_id": [5, 6, 5, 7], "jpeg": [b"five", b"six", b"again", None]}), path, row_group_size=2)
    return ImageStore(path)


def test_photos_are_found_by_id(store: ImageStore) -> None:
    assert store.get(5) == b"five"
    assert store.get("6") == b"six"
    assert store.get(np.int64(6)) == b"six"
    assert store.get(7) is None
    assert store.get(8) is None


def test_without_the_table_there_is_no_photo(tmp_path: Path) -> None:
    assert ImageStore(tmp_path / "images.parquet").get(1) is None


def test_nothing_is_opened_before_the_first_photo(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    path.write_bytes(b"not Parquet")
    store = ImageStore(path)
    with pytest.raises(CatalogueError, match=r"images\.parquet is not a readable table"):
        store.get(1)


def test_workers_open_their_own(store: ImageStore) -> None:
    assert store.get(5) == b"five"
    assert pickle.loads(pickle.dumps(store)).get(6) == b"six"
    assert len(pickle.dumps(store)) < 1000
    for method in ("fork", "spawn"):
        with get_context(method).Pool(2) as pool:
            assert pool.starmap(ImageStore.get, [(store, 5), (store, 6), (store, 8)]) == [b"five", b"six", None]


def test_a_full_temporary_folder_is_one_line(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(CatalogueError, match="No space left on device"):
        store.get(5)


def test_decoding_gives_rgb_in_the_asked_size(photo: bytes) -> None:
    pixels = decode(photo)
    assert pixels.shape == (40, 30, 3)
    assert pixels.dtype == np.uint8
    assert pixels[5, 15, 0] > 240
    assert pixels[35, 15, 2] > 240
    small = decode(photo, (20, 10))
    assert small.shape == (20, 10, 3)
    assert small[2, 5, 0] > 200
    assert small[18, 5, 2] > 200


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("side", [7, 60, 150])
def test_a_decoded_photo_is_resized_as_an_encoded_one(format: str, side: int) -> None:
    noise = np.random.default_rng(side).integers(0, 256, (side + 20, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format)
    photo = DecodedPhoto(decode(buffer.getvalue()))
    assert np.array_equal(decode(photo), photo.pixels)
    assert np.array_equal(decode(photo, (80, 64)), decode(buffer.getvalue(), (80, 64)))


def test_a_large_jpeg_that_is_decoded_smaller_differs_by_a_few_levels() -> None:
    height, width = np.mgrid[0:1000, 0:800]
    scene = np.stack([height / 4, width / 4, 120 + 100 * np.sin(height / 40) * np.cos(width / 30)], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(scene.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    gap = np.abs(decode(DecodedPhoto(decode(data)), (80, 64)).astype(int) - decode(data, (80, 64)))
    assert 0 < gap.max() <= 4
    assert gap.mean() < 1


@pytest.mark.parametrize(
    ("mode", "format"), [("L", "PNG"), ("RGBA", "WEBP"), ("P", "PNG"), ("CMYK", "JPEG"), ("I;16", "PNG"), ("LA", "PNG")]
)
def test_every_colour_mode_becomes_rgb(mode: str, format: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (7, 9)).save(buffer, format)
    assert decode(buffer.getvalue()).shape == (9, 7, 3)


def test_transparent_is_shown_on_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (10, 10, 10, 0)).save(buffer, "PNG")
    assert (decode(buffer.getvalue()) == 255).all()


def test_a_photo_taken_sideways_is_turned_upright(photo: bytes) -> None:
    image = Image.open(io.BytesIO(photo))
    exif = image.getexif()
    exif[274] = 6  # the camera was turned: rows of the file are columns of the scene
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    pixels = decode(buffer.getvalue())
    assert pixels.shape == (30, 40, 3)
    assert pixels[15, 35, 0] > 200
    assert pixels[15, 5, 2] > 200


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff not a photo", b"<svg/>"])
def test_what_is_no_photo_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="cannot be decoded; allowed: JPEG, PNG, WEBP"):
        decode(data)


def test_a_truncated_photo_is_refused(photo: bytes) -> None:
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode(photo[: len(photo) // 2])


@pytest.mark.parametrize(("side", "limit"), [(6_000, 25_000_000), (20_000, 25_000_000), (6_000, 100)])
def test_too_many_pixels_are_refused_before_decoding(side: int, limit: int) -> None:
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    started = time.perf_counter()
    with pytest.raises(ImageError, match=f"at most {limit} pixels"):
        decode(buffer.getvalue(), max_pixels=limit)
    assert time.perf_counter() - started < 0.5


def test_myntra_photos_are_served_at_random_fast_enough(myntra: Catalogue) -> None:
    ids = np.random.default_rng(0).permutation(myntra.products()["product_id"].to_numpy())[:20_000]
    myntra.images.get(ids[0])
    started = time.perf_counter()
    total = sum(len(myntra.images.get(key) or b"") for key in ids)
    assert 20_000 / (time.perf_counter() - started) > 20_000
    assert total > 20_000_000
