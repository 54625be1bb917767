import io
import pickle
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fresh import started
from PIL import Image, ImageFile

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError, ImageError
from catalog.images import FORMATS, SERVED_FORMATS, DecodedPhoto, ImageStore, decode, light


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


def test_the_main_photo_is_the_first_at_the_lowest_position(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    rows = [
        (1, 2, b"back"),
        (1, 0, b"front"),
        (1, 0, b"front again"),
        (2, None, b"main"),
        (2, 1, b"side"),
        (3, 3, b"late"),
        (3, 1, b"early"),
        (4, 0, None),
        (4, 1, b"second"),
    ]
    ids, places, photos = zip(*rows, strict=True)
    pq.write_table(pa.table({"product_id": ids, "jpeg": photos, "position": places}), path, row_group_size=2)
    assert [ImageStore(path).get(key) for key in (1, 2, 3, 4)] == [b"front", b"main", b"early", b"second"]
    held_back = ImageStore(path, frozenset({1, 3}))
    assert [held_back.get(key) for key in (1, 2)] == [b"front again", b"side"]
    assert pickle.loads(pickle.dumps(held_back)).get(2) == b"side"


def test_positions_written_as_floats_are_read_and_texts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    photos = {"product_id": [1, 1, 1], "jpeg": [b"b", b"a", b"c"]}
    pq.write_table(pa.table(photos | {"position": [1.0, float("nan"), 2.0]}), path)
    assert ImageStore(path).get(1) == b"a"
    pq.write_table(pa.table(photos | {"position": ["first", "second", "third"]}), path)
    with pytest.raises(CatalogueError, match="is not a readable table"):
        ImageStore(path).get(1)


def test_without_the_table_there_is_no_photo(tmp_path: Path) -> None:
    assert ImageStore(tmp_path / "images.parquet").get(1) is None


def test_nothing_is_opened_before_the_first_photo(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    path.write_bytes(b"not Parquet")
    store = ImageStore(path)
    with pytest.raises(CatalogueError, match=r"images\.parquet is not a readable table"):
        store.get(1)


@pytest.mark.slow
def test_workers_open_their_own(store: ImageStore) -> None:
    assert store.get(5) == b"five"
    assert pickle.loads(pickle.dumps(store)).get(6) == b"six"
    assert len(pickle.dumps(store)) < 1000
    process = started(read_by_workers, store, daemon=False)
    try:
        process.join(300)
        assert process.exitcode == 0
    finally:
        process.kill()


def read_by_workers(store: ImageStore) -> None:
    """In a process without threads, which may be forked."""
    assert store.get(5) == b"five"
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


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_greys_of_16_bits_are_scaled_by_their_range(format: str) -> None:
    greys = np.array([[0, 257, 32_768, 65_535]], dtype=np.uint16)
    assert decode(encoded(Image.fromarray(greys), format))[0, :, 0].tolist() == [0, 1, 128, 255]
    assert decode(encoded(Image.fromarray(greys // 64), format))[0, :, 0].tolist() == [0, 0, 2, 4]  # dark stays dark


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        ([0, 100, 255], np.int32, [0, 100, 255]),
        ([0, 257, 65_535], np.int32, [0, 1, 255]),
        ([-1000, 0, 1000], np.int32, [0, 128, 255]),
        ([0.0, 0.5, 1.0], np.float32, [0, 128, 255]),
        ([0.0, 51.0, 204.0], np.float32, [0, 51, 204]),
        ([0.0, float("nan"), 1000.0], np.float32, [0, 0, 255]),
        ([7000.0, 7000.0, 7000.0], np.float32, [0, 0, 0]),
    ],
)
def test_greys_of_32_bits_take_the_narrowest_range(values: list[float], kind: type, levels: list[int]) -> None:
    pixels = decode(encoded(Image.fromarray(np.array([values], dtype=kind)), "TIFF"))
    assert pixels[0, :, 0].tolist() == levels
    assert (pixels == pixels[:, :, :1]).all()


def test_a_transparent_grey_of_16_bits_is_white() -> None:
    greys = Image.fromarray(np.array([[1000, 0]], dtype=np.uint16))
    assert decode(encoded(greys, "PNG", transparency=1000))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("mode", ["1", "P", "CMYK"])
def test_colours_survive_their_mode(mode: str) -> None:
    scene = Image.new("RGB", (32, 16), "black")
    scene.paste((255, 255, 255) if mode == "1" else (250, 40, 10), (16, 0, 32, 16))
    pixels = decode(encoded(scene.convert(mode, palette=Image.Palette.ADAPTIVE), "JPEG" if mode == "CMYK" else "PNG")).astype(int)
    assert np.abs(pixels - np.asarray(scene)).max() <= 25  # JPEG, and the palette's nearest colour


@pytest.mark.parametrize("format", ["AVIF", "GIF", "BMP", "TIFF"])
def test_what_a_catalogue_holds_may_be_of_more_formats_than_a_request(format: str) -> None:
    if format not in FORMATS:
        pytest.skip(f"this Pillow reads no {format}")
    data = encoded(Image.new("RGB", (24, 16), (200, 30, 40)), format)
    assert np.abs(decode(data).astype(int) - (200, 30, 40)).max() <= 6
    with pytest.raises(ImageError, match=r"cannot be decoded; allowed: JPEG, PNG, WEBP$"):
        decode(data, formats=SERVED_FORMATS)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert np.abs(decode(data).astype(int) - (255, 0, 0)).max() <= 3


def test_the_longer_side_is_bounded_in_proportion() -> None:
    photo = encoded(Image.new("RGB", (300, 100)), "PNG")
    assert decode(photo, max_side=60).shape == (20, 60, 3)
    assert decode(photo, max_side=300).shape == (100, 300, 3)
    assert decode(photo, max_side=512).shape == (100, 300, 3)  # never larger than it is


@pytest.fixture(scope="module")
def large() -> bytes:
    """27 megapixels, a third of it lighter."""
    scene = Image.new("L", (6000, 4500), 90)
    scene.paste(200, (0, 0, 2000, 4500))
    return encoded(scene, "JPEG", quality=30)


def test_a_large_jpeg_is_shrunk_while_it_is_decoded(large: bytes) -> None:
    with pytest.raises(ImageError, match="image is 6000 x 4500 pixels; at most 25000000 pixels are allowed"):
        decode(large)
    shrunk = decode(large, max_side=512)
    assert shrunk.shape == (384, 512, 3)
    assert abs(int(shrunk[200, 40, 0]) - 200) <= 2
    assert abs(int(shrunk[200, 400, 0]) - 90) <= 2
    assert decode(large, (80, 60)).shape == (80, 60, 3)
    with pytest.raises(ImageError, match="at most 100000 pixels are allowed"):  # an eighth of it has 422,000
        decode(large, max_side=16, max_pixels=100_000)


def test_a_jpeg_that_is_too_large_even_to_be_shrunk_is_refused() -> None:
    data = encoded(Image.new("L", (9500, 9500)), "JPEG", quality=1)
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(ImageError, match="9500 x 9500 pixels"):
        decode(data, max_side=16)


def test_a_photo_is_given_to_one_size_only(photo: bytes) -> None:
    with pytest.raises(AssertionError, match="max_side has nothing to add"):
        decode(photo, (8, 8), max_side=8)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_were_changed_are_decoded_or_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    for format in FORMATS:
        for _ in range(60):
            data = bytearray(encoded(scene, format))
            for _ in range(int(rng.integers(1, 6))):
                data[int(rng.integers(min(len(data), 400)))] = int(rng.integers(256))
            try:
                assert decode(bytes(data[: int(rng.integers(1, len(data) + 1))]), (16, 16)).shape == (16, 16, 3)
            except ImageError as error:
                assert "\n" not in str(error)


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
    with pytest.raises(ImageError, match=r"cannot be decoded(; allowed: JPEG, PNG, WEBP|: )"):
        decode(data)


def test_a_truncated_photo_is_refused(photo: bytes) -> None:
    with pytest.raises(ImageError, match=r"cannot be decoded: (image file is truncated|broken PNG|Truncated)"):
        decode(photo[: len(photo) // 2])


@pytest.mark.parametrize(("side", "limit"), [(6_000, 25_000_000), (20_000, 25_000_000), (6_000, 100)])
def test_too_many_pixels_are_refused_before_decoding(side: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    Image.new("1", (side, side)).save(buffer, "PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=f"at most {limit} pixels"):
        decode(buffer.getvalue(), max_pixels=limit)


def test_myntra_photos_are_served_at_random(myntra: Catalogue) -> None:
    ids = np.random.default_rng(0).permutation(myntra.products()["product_id"].to_numpy())[:20_000]
    total = sum(len(myntra.images.get(key) or b"") for key in ids)
    assert total > 20_000_000


def test_light_is_the_mean_and_spread_of_a_photo_by_hand() -> None:
    half = np.zeros((64, 64, 3), dtype=np.uint8)
    half[:, 32:] = 255
    assert light(DecodedPhoto(half)) == pytest.approx((0.5, 0.5), abs=0.02)
    assert light(DecodedPhoto(np.full((8, 8, 3), (255, 0, 0), dtype=np.uint8))) == pytest.approx((0.299, 0.0), abs=1e-6)
    assert light(None) == (None, None)


def test_a_pickled_store_must_find_the_same_file(tmp_path: Path) -> None:
    """Another machine that does not share the folder would see no photo at all, and say nothing."""
    path = tmp_path / "images.parquet"
    absent = pickle.dumps(ImageStore(path))
    pq.write_table(pa.table({"product_id": [1], "jpeg": [b"one"]}), path)
    told = pickle.dumps(ImageStore(path))
    with pytest.raises(CatalogueError, match=r"images\.parquet: [\d,]+ bytes on .*, no file where it was opened; .* same path"):
        pickle.loads(absent)
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(CatalogueError, match=r"images\.parquet: no file on .*, [\d,]+ bytes where it was opened"):
        pickle.loads(told)
