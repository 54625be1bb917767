import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue, parse_attributes
from catalog.errors import CatalogueError, ImageError
from catalog.images import decode
from catalog.sample import write_sample
from catalog.schema import PRODUCT_COLUMNS, TABLES
from catalog.text import normalise


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(shop: Catalogue, tmp_path: Path) -> None:
    again = Catalogue.open(write_sample(tmp_path / "again", products=240))
    other = Catalogue.open(write_sample(tmp_path / "other", products=240, seed=8))
    assert again.fingerprint() == shop.fingerprint() != other.fingerprint()


def test_every_table_has_its_schema(shop: Catalogue) -> None:
    assert shop.tables() == ["products", "images", "purchases", "item_attributes", "reviews"]
    assert [(f.name, f.type) for f in shop.columns("products")] == list(PRODUCT_COLUMNS.items())
    for table in shop.tables():
        for field in shop.columns(table):
            assert field.type == TABLES[table][field.name]


@pytest.mark.slow
def test_the_shop_has_breadth(tmp_path: Path) -> None:
    products = Catalogue.open(write_sample(tmp_path / "shop", products=700)).products()
    assert products["master_category"].nunique() == 7
    assert products["sub_category"].nunique() == 13
    assert products["article_type"].nunique() == 24
    assert products["brand"].nunique() > 20
    assert products["listed_at"].max() - products["listed_at"].min() > pd.Timedelta(days=700)
    priced = products[products["price"] > 0]
    spread = np.log(priced["price"])
    within = spread - spread.groupby(priced["article_type"]).transform("median")
    assert within.std() < 0.75 * spread.std()
    named = products.groupby("article_type")["title"].apply(lambda titles: titles.map(normalise).str.contains("shirt").mean())
    assert named["Shirts"] > 0.3
    assert named["Watches"] == 0


def test_the_documented_faults_are_there(shop: Catalogue) -> None:
    products = shop.products()
    assert (products["price"] == 0).sum() == 3
    assert (products["title"] == "").sum() == 1
    assert products["product_id"].duplicated().sum() == 1
    assert (products["discounted_price"] > products["price"]).sum() == 1
    undecodable, absent = [], []
    for key in products["product_id"].unique():
        photo = shop.images.get(key)
        if photo is None:
            absent.append(key)
            continue
        try:
            assert decode(photo).shape == (80, 60, 3)
        except ImageError:
            undecodable.append(key)
    assert len(undecodable) == 1
    assert len(absent) == 3


def test_photos_show_the_colour_they_are_said_to_have(shop: Catalogue) -> None:
    products = shop.products().drop_duplicates("product_id")
    plain = products[~products["article_type"].isin(["Necklaces", "Sunglasses", "Frames", "Belts"])]
    reds = [_mean_of_middle(shop, key) for key in plain.loc[plain["base_colour"] == "Red", "product_id"]]
    blues = [_mean_of_middle(shop, key) for key in plain.loc[plain["base_colour"] == "Blue", "product_id"]]
    assert np.median([c[0] - c[2] for c in reds if c is not None]) > 20
    assert np.median([c[2] - c[0] for c in blues if c is not None]) > 20


def _mean_of_middle(shop: Catalogue, key: int) -> np.ndarray | None:
    photo = shop.images.get(key)
    try:
        return None if photo is None else decode(photo)[30:55, 15:45].reshape(-1, 3).mean(axis=0)
    except ImageError:
        return None


def test_purchases_and_attributes_refer_to_products(shop: Catalogue) -> None:
    ids = set(shop.products()["product_id"])
    purchases, attributes = shop.read("purchases"), shop.read("item_attributes")
    assert set(purchases["item_id"]) <= ids
    assert set(attributes["item_id"]) == ids
    assert purchases.groupby("user_id").size().min() >= 4
    assert not purchases.duplicated(["user_id", "item_id"]).any()
    assert purchases.groupby("user_id")["timestamp"].apply(lambda t: t.is_monotonic_increasing).all()


def test_users_have_tastes(shop: Catalogue) -> None:
    products = shop.products().drop_duplicates("product_id").set_index("product_id")
    bought = shop.read("purchases")
    kinds = bought.assign(sub=products["sub_category"].reindex(bought["item_id"]).to_numpy())
    repeated = kinds.groupby("user_id")["sub"].nunique().mean()
    shuffled = kinds.assign(sub=np.random.default_rng(0).permutation(kinds["sub"])).groupby("user_id")["sub"].nunique().mean()
    assert repeated < 0.85 * shuffled


def test_stars_and_recommendations_agree(shop: Catalogue) -> None:
    reviews = shop.read("reviews")
    share = reviews.groupby("rating")["recommended"].mean()
    assert share[5] > 0.9 > 0.3 > share[1]
    assert 0.02 < reviews["title"].isna().mean() < 0.3


@pytest.mark.slow
def test_the_second_delivery_continues_the_first(shop: Catalogue, drifted: Catalogue) -> None:
    for table in shop.tables():
        before, after = shop.read(table), drifted.read(table)
        assert len(after) > len(before)
        pd.testing.assert_frame_equal(after.head(len(before)), before)
    assert len(drifted.products()) == 240 + 96


def test_the_second_delivery_has_drifted(shop: Catalogue, drifted: Catalogue) -> None:
    before = shop.products()
    new = drifted.products().query("product_id > @before.product_id.max()")
    assert set(new["article_type"]) >= {"Flip Flops", "Perfumes", "Umbrellas"}
    assert not set(before["article_type"]) & {"Flip Flops", "Perfumes", "Umbrellas"}
    assert len(set(new["brand"]) - set(before["brand"])) == 5
    shared = new[new["article_type"].isin(before["article_type"])]
    ratio = shared["price"].median() / before.loc[before["price"] > 0, "price"].median()
    assert ratio > 1.3
    assert new["listed_at"].min() >= before["listed_at"].max()
    assert set(new["season"]) == {"Winter", "Spring"}
    light = [decode(shop.images.get(k) or b"").mean() for k in before["product_id"].head(10) if _readable(shop, k)]
    dark = [decode(drifted.images.get(k) or b"").mean() for k in new["product_id"].head(10)]
    assert np.mean(dark) < 0.5 * np.mean(light)


def _readable(catalogue: Catalogue, key: int) -> bool:
    try:
        return bool(decode(catalogue.images.get(key) or b"").size)
    except ImageError:
        return False


def test_attributes_parse_and_some_say_nothing(shop: Catalogue) -> None:
    parsed = [parse_attributes(text) for text in shop.products()["attributes"]]
    assert np.mean([len(attributes) for attributes in parsed]) > 2
    assert shop.products()["attributes"].str.contains('"NA"').any()


def test_too_small_a_sample_and_an_occupied_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="at least 100"):
        write_sample(tmp_path / "a", products=10)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "file").touch()
    with pytest.raises(CatalogueError, match="not an empty folder"):
        write_sample(tmp_path / "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b"]


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import resource, sys, pathlib\n"
        "from catalog.errors import CatalogueError\n"
        "from catalog.sample import write_sample\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n"
        "    write_sample(pathlib.Path(sys.argv[1]), products=100)\n"
        "except CatalogueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "shop")], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {tmp_path / 'shop'}: ")
    assert done.stdout.count("\n") == 1
    assert not list(tmp_path.iterdir())
