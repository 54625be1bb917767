"""An index as files, and which products are nearest: by comparing them and by inverted lists, held against numpy."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalog.listing import CATEGORY_LEVELS
from configs.errors import VitrinaError
from configs.schema import IndexConfig
from serving.search.index import LISTS, PRODUCTS, SPEC, VECTORS, Index, facts, read, write
from serving.search.nearest import ALL, nearest, nearest_by_lists
from serving.search.shelf import Filters, Shelf
from serving.source import index_of

COUNT, DIMENSIONS = 3000, 24
EXACT = IndexConfig()
LISTED = IndexConfig(exact=100, lists_a_root=0.5, probed=8, exact_filtered=50, sample_a_list=39)


def shop(count=COUNT):
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((40, DIMENSIONS))
    vectors = centres[rng.integers(0, 40, count)] + 0.5 * rng.standard_normal((count, DIMENSIONS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    products = pd.DataFrame(
        {
            "product_id": np.arange(count)[::-1] + 1000,
            "title": [f"product {i}" for i in range(count)],
            "brand": [("Acme", "Bravo", None)[i % 3] for i in range(count)],
            "article_type": [f"type {i % 100}" for i in range(count)],
            "price": np.where(np.arange(count) % 7, np.arange(count) * 1.0, np.nan),
            "attributes": [json.dumps({"Fabric": "Silk" if i % 50 == 0 else "Wool"}) for i in range(count)],
        }
    )
    return products, vectors


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory):
    folder, (products, vectors) = tmp_path_factory.mktemp("indices"), shop()
    write(folder / "exact", products["product_id"], vectors, products, EXACT)
    write(folder / "listed", products["product_id"], vectors, products, LISTED)
    return folder


@pytest.fixture(scope="module")
def exact(written: Path) -> Index:
    return read(written / "exact")


@pytest.fixture(scope="module")
def listed(written: Path) -> Index:
    return read(written / "listed")


def by_hand(unit, mask, count):
    _, vectors = shop()
    cosines = np.where(mask, vectors.astype(np.float16).astype(np.float32) @ unit, -np.inf)
    return np.argsort(-cosines, kind="stable")[: min(count, int(mask.sum()))]


def test_what_is_written_is_read(exact: Index, listed: Index, written: Path) -> None:
    products, vectors = shop()
    for index in (exact, listed):
        np.testing.assert_allclose(np.asarray(index.vectors, dtype=np.float32), vectors, atol=1e-3)
        assert index.products.column("product_id").to_pylist() == products["product_id"].tolist()
        assert index.products.column("title").to_pylist() == products["title"].tolist()
    assert (exact.lists, exact.vectors.dtype, exact.spec.lists) == (None, np.float32, 0)
    assert (listed.lists.ntotal, listed.vectors.dtype, listed.spec.lists) == (COUNT, np.float16, 27)
    assert sorted(path.name for path in (written / "exact").iterdir()) == [SPEC, PRODUCTS, VECTORS]
    assert sorted(path.name for path in (written / "listed").iterdir()) == [SPEC, LISTS, PRODUCTS, VECTORS]


def test_the_same_products_make_the_same_files(written: Path, tmp_path: Path) -> None:
    products, vectors = shop()
    write(tmp_path / "again", products["product_id"], vectors, products, LISTED)
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == (written / "listed" / path.name).read_bytes(), path.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (ALL, lambda i: True),
        (Filters(brands=("Acme",)), lambda i: i % 3 == 0),
        (Filters(brands=("Acme", "Bravo"), price_max=999.0), lambda i: i % 3 < 2 and i % 7 and i < 1000),
        (Filters(attributes=(("Fabric", ("Silk",)),)), lambda i: i % 50 == 0),
        (Filters(categories=("type 7",)), lambda i: i % 100 == 7),
        (Filters(categories=("type 7", "type 8"), price_min=1.0), lambda i: i % 100 in (7, 8) and i % 7),
        (Filters(categories=("nothing",)), lambda i: False),
        (Filters(price_min=5000.0), lambda i: False),
    ],
    ids=("all", "brand", "brands and price", "attribute", "category", "categories and price", "none", "too dear"),
)
def test_filters_leave_what_passes_and_comparing_finds_the_nearest(exact: Index, listed: Index, filters, passes) -> None:
    mask = np.array([bool(passes(i)) for i in range(COUNT)])
    queries = shop()[1][:20]
    for index in (exact, listed):
        shelf = Shelf.of(index)
        np.testing.assert_array_equal(shelf.within(filters), mask)
        for unit, (scores, rows) in zip(queries, nearest(shelf, queries, filters, 10), strict=True):
            assert rows.tolist() == by_hand(unit, mask, 10).tolist()
            assert (np.diff(scores) <= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "filters", [ALL, Filters(brands=("Acme",)), Filters(attributes=(("Fabric", ("Silk",)),))], ids=("all", "brand", "attribute")
)
def test_lists_find_nearly_all_of_the_nearest_and_only_what_passes(listed: Index, filters: Filters) -> None:
    shelf, queries = Shelf.of(listed), shop()[1][:200]
    mask = shelf.within(filters)
    found = nearest_by_lists(shelf, queries, filters, 10, listed.lists, listed.spec.config)
    recalls = []
    for unit, (scores, rows) in zip(queries, found, strict=True):
        assert mask[rows].all()
        np.testing.assert_allclose(scores, shelf.cosines(unit[None], rows)[0], rtol=1e-6)
        wanted = by_hand(unit, mask, 10)
        recalls.append(np.isin(wanted, rows).mean())
    assert np.mean(recalls) >= 0.97  # exactly 1.0 where few are left, 0.99 otherwise


def test_a_product_that_is_taken_away_is_in_no_answer(listed: Index) -> None:
    shelf, unit = Shelf.of(listed), shop()[1][:1]
    best = [int(row) for row in nearest_by_lists(shelf, unit, ALL, 3, listed.lists, listed.spec.config)[0][1]]
    assert best[0] == 0
    shelf.remove(str(COUNT - 1 + 1000))  # the id of row 0
    shelf.remove("nobody")
    assert len(shelf) == COUNT - 1
    for search in (
        lambda: nearest_by_lists(shelf, unit, ALL, 2, listed.lists, listed.spec.config),
        lambda: nearest(shelf, unit, ALL, 2),
    ):
        assert [int(row) for row in search()[0][1]] == best[1:]
    shelf.restore(str(COUNT - 1 + 1000), 0)
    assert int(nearest(shelf, unit, ALL, 1)[0][1][0]) == 0


def test_a_shelf_of_clients_takes_replaces_and_loses_products_without_growing() -> None:
    shelf, rng = Shelf(4), np.random.default_rng(0)
    kept = {}
    for step in range(2000):
        name = str(rng.integers(0, 100))
        if rng.random() < 0.3:
            shelf.remove(name)
            kept.pop(name, None)
            continue
        vector = rng.standard_normal(4).astype(np.float32)
        vector /= np.linalg.norm(vector)
        told = dict.fromkeys(("title", "brand", *CATEGORY_LEVELS, "price")) | {"attributes": "{}", "brand": f"b{step % 5}"}
        shelf.put(name, told | {"product_id": name}, vector)
        kept[name] = (vector, step % 5)
    assert set(shelf.rows) == set(kept)
    assert shelf._used <= 512
    unit = np.array([[1, 0, 0, 0]], dtype=np.float32)
    for filters, wanted in ((ALL, kept), (Filters(brands=("b2",)), {n: v for n, v in kept.items() if v[1] == 2})):
        _, rows = nearest(shelf, unit, filters, 5)[0]
        names = [told["product_id"] for told in shelf.tell(rows.tolist())]
        assert names == sorted(wanted, key=lambda name: -kept[name][0][0])[:5]


def test_facts_of_a_listing_that_says_nothing() -> None:
    from catalog.listing import Listing

    assert facts(Listing()) == {**dict.fromkeys(("title", "brand", *CATEGORY_LEVELS, "price")), "attributes": "{}"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", [SPEC, VECTORS, PRODUCTS, LISTS])
def test_a_damaged_index_is_refused_in_one_line(written: Path, tmp_path: Path, name: str) -> None:
    for damage in (cut, Path.unlink, lambda path: path.write_bytes(b"")):
        folder = shutil.copytree(written / "listed", tmp_path / "index", dirs_exist_ok=True)
        damage(folder / name)
        with pytest.raises(VitrinaError, match=r"^(cannot read the index|index) .*index") as failure:
            read(folder)
        assert "\n" not in str(failure.value)


def test_files_that_do_not_belong_together_are_refused(written: Path, tmp_path: Path) -> None:
    products, vectors = shop(200)
    write(tmp_path / "other", products["product_id"], vectors, products, LISTED)
    for name in (VECTORS, PRODUCTS, LISTS):
        folder = shutil.copytree(written / "listed", tmp_path / name)
        shutil.copy(tmp_path / "other" / name, folder / name)
        with pytest.raises(VitrinaError, match=rf"{name} does not belong to index\.json, which says 3000 vectors of 24"):
            read(folder)
    folder = shutil.copytree(written / "exact", tmp_path / "format")
    spec = json.loads((folder / SPEC).read_text()) | {"format": 2}
    (folder / SPEC).write_text(json.dumps(spec))
    with pytest.raises(VitrinaError, match=r"index\.json: format"):
        read(folder)


def test_vectors_are_never_unpickled(written: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(written / "exact", tmp_path / "index")
    np.save(folder / VECTORS, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(VitrinaError, match="cannot read the index"):
        read(folder)


def test_a_bundle_without_an_index(tmp_path: Path) -> None:
    assert index_of(tmp_path) is None
