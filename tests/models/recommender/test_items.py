"""What is known of items: attributes, bounds and what two have in common, from tables written down by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recommender_cases import bare_items, catalogue_of, random_cells
from scipy.sparse import csr_matrix

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from models.recommender import items as module
from models.recommender.items import Items, item_keys

PRODUCTS = pd.DataFrame(
    {
        "product_id": [1, 2, 3, 3],
        "title": ["Blue shirt", "Red shirt", " NA ", "again"],
        "brand": ["Nordal", "Nordal", "Velora", "Nordal"],
        "base_colour": ["Blue", "NA", "Blue", "Red"],
        "master_category": ["Apparel", "Apparel", "Footwear", "Apparel"],
        "article_type": ["Shirts", "Shirts", "", "Shirts"],
        "price": [900.0, 0.0, 2500.0, 1.0],
    }
)
LISTED = pd.DataFrame({"item_id": ["1", "4", "4", "99", None], "attribute_id": [7, 7, 8, 9, 9]})


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return catalogue_of(tmp_path / "catalogue", products=PRODUCTS, item_attributes=LISTED)


@pytest.fixture
def items(catalogue: Catalogue) -> Items:
    return Items.of(catalogue, [1, 2, 3, "4"], np.array([5, 1, 3, 0]))


def attributes_of(items: Items, code: int) -> set[str]:
    return {items.names[a] for a in items.attributes[code].indices}


def test_attributes_come_from_both_tables(items: Items) -> None:
    assert attributes_of(items, 0) == {"brand Nordal", "base colour Blue", "article type Shirts", "attribute 7"}
    assert attributes_of(items, 1) == {"brand Nordal", "article type Shirts"}
    assert attributes_of(items, 2) == {"brand Velora", "base colour Blue"}  # its first row; "" says nothing
    assert attributes_of(items, 3) == {"attribute 7", "attribute 8"}
    assert set(items.attributes.data) == {1.0}


def test_titles_prices_and_categories(items: Items) -> None:
    assert items.titles == ("Blue shirt", "Red shirt", "", "")
    assert items.title(0) == "Blue shirt"
    assert items.title(2) == "item 3"
    np.testing.assert_array_equal(items.prices, np.array([900, np.nan, 2500, np.nan]))
    assert items.categories["article_type"] == ("Shirts", "Shirts", "", "")
    assert items.categories["sub_category"] == ("", "", "", "")
    assert [items.price(code) for code in range(4)] == [900.0, None, 2500.0, None]
    assert [items.article_type(code) for code in range(4)] == ["Shirts", "Shirts", None, None]


def test_prices_are_kept_to_the_cent(tmp_path: Path) -> None:
    costly = pd.DataFrame({"product_id": [1, 2, 3], "title": "a", "price": [1234567.89, 19.99, math.inf]})
    items = Items.of(catalogue_of(tmp_path / "costly", products=costly), [1, 2, 3], np.zeros(3))
    arrays, said = items.state()
    restored = Items.restore(arrays, json.loads(json.dumps(said)))
    assert [restored.price(code) for code in range(3)] == [1234567.89, 19.99, None]
    earlier = Items.restore(arrays | {"prices": arrays["prices"].astype(np.float32)}, said)
    assert earlier.price(1) == 19.99
    assert earlier.allowed([], 19.99, 19.99).tolist() == [False, True, False]


def test_codes_are_found_by_number_and_text(items: Items) -> None:
    assert [items.codes[key] for key in ("1", "2", "3", "4")] == [0, 1, 2, 3]


def test_keys_of_all_tables_in_order(catalogue: Catalogue, tmp_path: Path) -> None:
    assert item_keys(catalogue, pd.Series(["20", None])) == ["1", "2", "20", "3", "4", "99"]
    seen = pd.DataFrame({"product_id": [7, 1], "embedding": [[1.0, 0.0], [0.0, 1.0]]})
    numbers = catalogue_of(tmp_path / "numbers", products=PRODUCTS, embeddings=seen)
    found = item_keys(numbers, pd.Series([20, 10]))
    assert found == [1, 2, 3, 7, 10, 20]
    assert json.dumps(found) == "[1, 2, 3, 7, 10, 20]"


def test_a_catalogue_that_describes_nothing(tmp_path: Path) -> None:
    bare = catalogue_of(tmp_path / "bare", purchases=pd.DataFrame({"user_id": [1], "item_id": ["b"]}))
    found = Items.of(bare, item_keys(bare, pd.Series(["b", "a"])), np.zeros(2))
    assert found.keys == ("a", "b")
    assert found.attributes.shape == (2, 0)
    assert found.title(1) == "item b"
    assert (found.price(1), found.article_type(1)) == (None, None)
    assert found.alike(5).nnz == 0
    assert found.shared(0, 1) == ()
    with pytest.raises(VitrinaError, match=r"category 'Shirts' is not known: this version's catalogue has no categories"):
        found.allowed(["Shirts"], None, None)
    with pytest.raises(VitrinaError, match="this version's catalogue has no prices"):
        found.allowed([], 10, None)


@pytest.mark.parametrize(
    ("categories", "low", "high", "expected"),
    [
        ([], None, None, [1, 1, 1, 1]),
        (["Shirts"], None, None, [1, 1, 0, 0]),
        (["Footwear"], None, None, [0, 0, 1, 0]),
        (["Footwear", "Shirts"], None, None, [1, 1, 1, 0]),  # of different levels
        ([], 0, None, [1, 0, 1, 0]),  # items without a price are out
        ([], 900, 2500, [1, 0, 1, 0]),  # both bounds are within
        ([], 901, None, [0, 0, 1, 0]),
        ([], None, 2499, [1, 0, 0, 0]),
        (["Shirts"], 1000, None, [0, 0, 0, 0]),
    ],
)
def test_bounds(items: Items, categories: list[str], low: float | None, high: float | None, expected: list[int]) -> None:
    assert items.allowed(categories, low, high).astype(int).tolist() == expected


def test_an_unknown_category_is_named(items: Items) -> None:
    with pytest.raises(VitrinaError, match=r"^category 'Hats' is not known: it is no category of this version$"):
        items.allowed(["Shirts", "Hats"], None, None)
    with pytest.raises(VitrinaError, match="category '' is not known"):
        items.allowed([""], None, None)


def test_what_two_items_share_begins_with_the_rarest(items: Items) -> None:
    assert items.shared(0, 1) == ("article type Shirts", "brand Nordal")
    assert items.shared(0, 2) == ("base colour Blue",)
    assert items.shared(1, 2) == ()
    assert items.shared(0, 3) == ("attribute 7",)


def test_rare_attributes_are_named_before_common_ones() -> None:
    lists = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=np.float32)
    assert bare_items(4, csr_matrix(lists)).shared(0, 1) == ("attribute 2", "attribute 1", "attribute 0")


def test_popularity_is_the_share_of_items_that_sold_less(items: Items) -> None:
    assert items.popularity.tolist() == [0.75, 0.25, 0.5, 0.0]
    assert bare_items(4, buyers=np.array([2, 2, 5, 0])).popularity.tolist() == [0.25, 0.25, 0.75, 0.0]


def test_cosines_by_hand(items: Items) -> None:
    """Attributes weigh log(1 + 4 / items that have them): two here, one for Velora and attribute 8."""
    two, one = math.log(1 + 4 / 2), math.log(1 + 4 / 1)
    first, third, fourth = math.sqrt(4) * two, math.hypot(two, one), math.hypot(two, one)
    found = items.alike(4).toarray()
    assert found[0, 1] == pytest.approx(2 * two**2 / (first * math.sqrt(2) * two))
    assert found[0, 2] == pytest.approx(two**2 / (first * third))
    assert found[0, 3] == pytest.approx(two**2 / (first * fourth))
    assert found[2, 3] == 0
    assert not found.diagonal().any()


@pytest.mark.parametrize("chunk", [1, 37, 10**6])
def test_cosines_are_dense_cosines_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    found = bare_items(25, random_cells(25, 9, 0.3, seed=1))
    monkeypatch.setattr(module, "CELLS_A_CHUNK", chunk)
    dense = found.attributes.toarray()
    dense = dense * np.log1p(25 / np.maximum(dense.sum(0), 1))
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
    expected = dense @ dense.T
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found.alike(25).toarray(), expected, atol=1e-5)
    kept = found.alike(3).toarray()
    for row, whole in zip(kept, expected, strict=True):
        assert sorted(row)[-3:] == pytest.approx(sorted(whole)[-3:], abs=1e-5)
        assert np.count_nonzero(row) <= 3


def test_restored_items_are_the_same(items: Items) -> None:
    arrays, said = items.state()
    restored = Items.restore(arrays, json.loads(json.dumps(said)))
    assert (restored.keys, restored.names, restored.titles) == (items.keys, items.names, items.titles)
    assert restored.categories == items.categories
    np.testing.assert_array_equal(restored.attributes.toarray(), items.attributes.toarray())
    np.testing.assert_array_equal(restored.prices, items.prices)
    np.testing.assert_array_equal(restored.buyers, items.buyers)
