"""Small photos as the files of an index."""

import shutil

import numpy as np
import pytest

from catalog.thumbnails import small
from configs.errors import VitrinaError
from configs.schema import IndexConfig
from serving.search import index
from serving.search.photos import OFFSETS, PHOTOS
from tests.catalog.test_thumbnails import SIDE, encoded
from tests.serving.conftest import SHOP, placed


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
