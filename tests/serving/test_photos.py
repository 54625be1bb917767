"""Small photos as files: what is kept, what is made, and what is refused."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from catalog.errors import ImageError
from configs.errors import VitrinaError
from configs.schema import IndexConfig
from serving.search import index
from serving.search.photos import OFFSETS, PHOTOS, small
from tests.serving.conftest import SHOP, placed

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


def written(folder, photo, side=SIDE):
    vectors = np.stack([placed(title) for title in SHOP["title"]])
    index.write(folder, SHOP["product_id"], vectors, SHOP, IndexConfig(photo_side=side), photo)
    return folder


SEEN = {1: encoded((60, 80)), 3: encoded((300, 300)), 4: b"broken", 6: encoded((10, 10))}


def test_photos_are_read_by_row_from_mapped_files(tmp_path):
    found = index.read(written(tmp_path / "index", SEEN.get)).photos
    assert found is not None
    assert isinstance(found.data, np.memmap)
    assert [found.there(row) for row in range(6)] == [True, False, True, False, False, True]
    assert [found.get(row) for row in range(6)] == [SEEN[1], None, small(SEEN[3], SIDE), None, None, small(SEEN[6], SIDE)]
    again = written(tmp_path / "again", SEEN.get)
    for name in (PHOTOS, OFFSETS):
        assert (again / name).read_bytes() == (tmp_path / "index" / name).read_bytes()


@pytest.mark.parametrize(("photo", "side"), [(SEEN.get, 0), ({4: b"broken"}.get, SIDE), (lambda _: None, SIDE)])
def test_without_photos_there_are_no_files_of_them(tmp_path, photo, side):
    folder = written(tmp_path / "index", photo, side)
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "products.parquet", "vectors.npy"]
    assert index.read(folder).photos is None


def test_an_index_from_before_there_were_photos(tmp_path):
    folder = written(tmp_path / "index", SEEN.get, side=0)
    spec = folder / "index.json"
    spec.write_text("".join(line for line in spec.read_text().splitlines() if '"photo' not in line).replace("17,", "17"))
    assert index.read(folder).photos is None


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("name", [PHOTOS, OFFSETS])
def test_damaged_photos_are_refused_in_one_line(tmp_path, name):
    whole = written(tmp_path / "whole", SEEN.get)
    other = written(tmp_path / "other", {1: encoded((61, 80))}.get)
    for damage in (cut, lambda path: path.unlink(), lambda path: shutil.copy(other / name, path)):
        folder = shutil.copytree(whole, tmp_path / "index", dirs_exist_ok=True)
        damage(folder / name)
        with pytest.raises(VitrinaError, match=r"^cannot read the index .*index: [^\n]+$"):
            index.read(folder)


def test_photos_of_other_products_are_refused(tmp_path):
    folder = written(tmp_path / "index", SEEN.get)
    offsets = np.load(folder / OFFSETS)
    np.save(folder / OFFSETS, np.delete(offsets, 1))
    with pytest.raises(VitrinaError, match=rf"{OFFSETS} does not belong to index\.json, which says 6 vectors"):
        index.read(folder)
