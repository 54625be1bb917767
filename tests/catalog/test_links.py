"""What is found out about a whole table: the first row of each id, and where the main photos lie."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.links import distinct_keys, key_type, link_rows


def shop(folder: Path, ids: list[Any], photos: list[tuple[Any, bytes | None, float | None]] | None = None) -> Catalogue:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"product_id": ids}), folder / "products.parquet", row_group_size=2)
    if photos is not None:
        names = ("product_id", "jpeg", "position")
        table = pa.table({name: list(column) for name, column in zip(names, zip(*photos, strict=True), strict=True)})
        pq.write_table(table, folder / "images.parquet", row_group_size=2)
    return Catalogue.open(folder)


def linked(catalogue: Catalogue, out: Path, photos: bool = True) -> dict[str, list[int | None]]:
    rows = link_rows(catalogue, "products", "product_id", out, photos)
    found: dict[str, list[int | None]] = pq.read_table(out).to_pydict()
    assert {len(column) for column in found.values()} == {rows}
    return found


def test_the_first_row_of_each_id(tmp_path: Path) -> None:
    found = linked(shop(tmp_path / "shop", [7, 5, None, 7, 5, 6]), tmp_path / "links.parquet")
    assert found == {"first": [0, 1, None, 0, 1, 5]}


def test_the_main_photo_is_the_one_that_the_image_store_gives(tmp_path: Path) -> None:
    photos = [("b", b"2", 1.0), ("a", b"1", None), ("b", b"3", -1.0), ("b", b"4", -1.0), ("a", b"5", 0.0), (None, b"6", 0.0)]
    catalogue = shop(tmp_path / "shop", ["a", "b", "c", None], photos)
    found = linked(catalogue, tmp_path / "links.parquet")
    assert found["photo"] == [1, 2, None, None]
    assert [catalogue.images.get(key) for key in "abc"] == [b"1", b"3", None]
    assert "photo" not in linked(catalogue, tmp_path / "without.parquet", photos=False)


def test_a_photo_of_no_bytes_is_not_the_main_one(tmp_path: Path) -> None:
    photos = [("a", b"", 0.0), ("a", b"1", 1.0), ("b", None, None), ("b", b"2", 2.0), ("c", b"", None)]
    catalogue = shop(tmp_path / "shop", ["a", "b", "c"], photos)
    assert linked(catalogue, tmp_path / "links.parquet")["photo"] == [1, 3, None]
    assert [catalogue.images.get(key) for key in "abc"] == [b"1", b"2", None]


def test_ids_that_are_numbers_here_and_words_there(tmp_path: Path) -> None:
    catalogue = shop(tmp_path / "shop", [10, 11], [("11", b"1", None), ("12", b"2", None)])
    assert linked(catalogue, tmp_path / "links.parquet")["photo"] == [None, 0]


def test_values_once_each_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    table = pa.table({"user_id": ["u", None, "a", "u", "'"], "item_id": [1, 2, 3, 4, 5]})
    pq.write_table(table, tmp_path / "shop" / "purchases.parquet", row_group_size=2)
    assert distinct_keys(Catalogue.open(tmp_path / "shop"), "purchases", "user_id", tmp_path / "keys.parquet") == 3
    assert pq.read_table(tmp_path / "keys.parquet").to_pydict() == {"user_id": ["u", "a", "'"]}


def test_a_folder_with_a_quote_in_its_name_and_nothing_left_beside_the_result(tmp_path: Path) -> None:
    catalogue = shop(tmp_path / "it's", [1, 1])
    assert linked(catalogue, tmp_path / "it's" / "links.parquet")["first"] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "it's").iterdir()) == ["links.parquet", "products.parquet"]


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    catalogue = shop(tmp_path / "shop", list(range(5000)))
    path = tmp_path / "shop" / "products.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    with pytest.raises(CatalogueError, match=r"^the ids of .*products.parquet cannot be read: [^\n]*$"):
        link_rows(catalogue, "products", "product_id", tmp_path / "links.parquet")


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (pa.array([1], pa.int32()), pa.int64()),
        (pa.array(["a"], pa.large_string()), pa.string()),
        (pa.array(["a"]).dictionary_encode(), pa.string()),
    ],
)
def test_ids_are_written_as_numbers_or_words(tmp_path: Path, ids: pa.Array, kind: pa.DataType) -> None:
    assert key_type(shop(tmp_path / "shop", ids), "products", "product_id") == kind


def test_other_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="product_id is double; allowed: int64, string"):
        key_type(shop(tmp_path / "shop", [1.5]), "products", "product_id")
