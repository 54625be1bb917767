"""Which products a bundle is measured on."""

from pathlib import Path

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.splits import split_products
from configs.errors import VitrinaError
from configs.schema import SplitConfig
from models.bundles import BASE, product_keys, save_seen
from models.imagegen.config import JudgeConfig
from models.imagegen.judge.judge import COLOUR, TYPE
from models.imagegen.rows import different, known_of, labelled, products_of

SPLIT = SplitConfig()


@pytest.fixture
def folder(shop: Catalogue, tmp_path: Path) -> Path:
    """A bundle that knows the first 100 products, on a base that knows the first 150."""
    products = different(shop)
    (tmp_path / BASE).mkdir()
    save_seen(tmp_path, product_keys(products[:100]))
    save_seen(tmp_path / BASE, product_keys(products[:150]))
    return tmp_path


def test_unseen_is_what_neither_version_nor_base_knows(shop: Catalogue, folder: Path) -> None:
    products = different(shop)
    found = products_of(folder, shop, "unseen", SPLIT)
    assert found["product_id"].tolist() == products["product_id"].tolist()[150:]
    known = known_of(folder, shop, found["product_id"], SPLIT)
    assert known["product_id"].tolist() == products["product_id"].tolist()[:100]
    assert known["part"].tolist() == split_products(products[:100], SPLIT).tolist()


def test_what_is_measured_is_not_among_what_is_known(shop: Catalogue, folder: Path) -> None:
    parts = split_products(different(shop), SPLIT)
    found = products_of(folder, shop, "validation", SPLIT)
    assert found.index.tolist() == parts[:150].index[parts[:150] == "validation"].tolist()
    known = known_of(folder, shop, found["product_id"], SPLIT)
    assert not set(known["product_id"]) & set(found["product_id"])
    assert (known["part"] != "validation").all()


def test_a_published_split_is_kept(shop: Catalogue, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "published"
    out.mkdir()
    products = different(shop)
    products.assign(split=["train"] * 200 + ["test"] * 100).to_parquet(out / "products.parquet", index=False)
    found = products_of(folder, Catalogue.open(out), "unseen", SPLIT)
    assert found["product_id"].tolist() == products["product_id"].tolist()[200:]


def test_nothing_known_is_no_error(shop: Catalogue, folder: Path) -> None:
    everything = different(shop)["product_id"]
    assert known_of(folder, shop, everything, SPLIT).empty


def test_bad_splits_are_told_in_one_line(shop: Catalogue, folder: Path) -> None:
    with pytest.raises(VitrinaError, match=r"split 'tset' is not known; allowed: unseen, validation, train, all"):
        products_of(folder, shop, "tset", SPLIT)
    save_seen(folder, product_keys(different(shop)))
    with pytest.raises(VitrinaError, match="there is no unseen product to measure"):
        products_of(folder, shop, "unseen", SPLIT)


def test_the_judge_learns_from_photos_that_can_be_decoded(shop: Catalogue, tmp_path: Path) -> None:
    products, photos = different(shop)[:4], pd.read_parquet(shop.root / "images.parquet")[:4]
    photos.loc[photos.index[1], "jpeg"] = b"no photo"
    products.assign(base_colour=["NA", "Red", None, "Blue"]).to_parquet(tmp_path / "products.parquet", index=False)
    photos[:3].to_parquet(tmp_path / "images.parquet", index=False)  # the fourth has none
    catalogue = Catalogue.open(tmp_path)
    found = labelled(catalogue, different(catalogue), JudgeConfig(side=24))
    assert found.pixels.shape == (2, 24, 24, 3)
    assert sorted(map(str, found.labels[TYPE])) == sorted(products["article_type"].iloc[[0, 2]])
    assert found.labels[COLOUR] == [None, None]
    assert len(labelled(catalogue, different(catalogue), JudgeConfig(side=24, photos=1)).pixels) == 1
