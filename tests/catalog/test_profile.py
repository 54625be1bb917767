"""What a delivery is like, and what changed since another."""

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from catalog.profile import MOST, Profile, changes, profile, told
from catalog.sample import write_sample

PLAIN = Profile(fingerprint="a" * 64, rows={"products": 100}, missing={"title": 0.0}, values={}, price=(10.0, 50.0, 90.0))


def made(folder, rows, photos=()):
    folder.mkdir()
    columns = ("product_id", "title", "brand", "article_type", "price")
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "products.parquet")
    if photos:
        pd.DataFrame({"product_id": photos, "jpeg": [b"x"] * len(photos)}).to_parquet(folder / "images.parquet")
    return profile(Catalogue.open(folder), "f" * 64)


BEFORE = [(1, "a", "Acme", "Shirts", 10.0), (2, "b", "Acme", "Jeans", 20.0), (3, "c", "Bravo", "Jeans", 30.0)]
NOW = [
    (1, "a", "Acme", "Shirts", 20.0),
    (1, "again", "Acme", "Shirts", 20.0),
    (2, "", "Acme", "Hats", 40.0),
    (3, " ", "Chrono", "Hats", 0.0),
    (4, "d", None, None, None),
]


def test_products_are_counted_once_and_by_what_they_say(tmp_path):
    found = made(tmp_path / "now", NOW, photos=[1, 3, 3, 9])
    assert found.rows == {"products": 4}
    assert found.values == {"article_type": {"Hats": 2, "Shirts": 1}, "brand": {"Acme": 2, "Chrono": 1}}
    assert found.missing == {
        "title": 0.5,
        "description": 1.0,
        "brand": 0.25,
        "article_type": 0.25,
        "base_colour": 1.0,
        "price": 0.5,
        "photo": 0.5,
    }
    assert found.price == (21.0, 30.0, 39.0)


def test_what_changed_is_said_in_phrases(tmp_path):
    now, before = made(tmp_path / "now", NOW, photos=[1]), made(tmp_path / "before", BEFORE, photos=[1, 2, 3])
    assert list(changes(now, before)) == [
        ("3 → 4 products (+33%)", True),
        ("1 new article type (2 products): Hats", True),
        ("1 gone article type (2 products): Jeans", True),
        ("1 new brand (1 products): Chrono", True),
        ("1 gone brand (1 products): Bravo", True),
        ("median price 20 → 30 (+50%)", True),
        ("without photo: 0% → 75%", True),
        ("without title: 0% → 50%", True),
        ("without price: 0% → 50%", True),
        ("without brand: 0% → 25%", True),
        ("without article type: 0% → 25%", True),
    ]
    assert list(changes(now, now)) == []


def test_small_changes_are_told_as_such():
    more = PLAIN.model_copy(update={"rows": {"products": 110, "reviews": 5}, "price": (10.0, 52.0, 90.0)})
    assert list(changes(more, PLAIN)) == [
        ("100 → 110 products (+10%)", False),
        ("median price 50 → 52 (+4%)", False),
        ("0 → 5 reviews", True),
    ]
    slightly = PLAIN.model_copy(update={"missing": {"title": 0.019}})
    assert list(changes(slightly, PLAIN)) == []


def test_of_too_many_values_none_is_called_new():
    many = PLAIN.model_copy(update={"values": {"brand": {f"brand {i}": 1 for i in range(MOST)}}})
    assert list(changes(many, PLAIN)) == []


def test_a_catalogue_of_purchases_alone(tmp_path):
    pd.DataFrame({"user_id": [1, 1], "item_id": [2, 3], "position": [0, 1]}).to_parquet(tmp_path / "purchases.parquet")
    found = profile(Catalogue.open(tmp_path), "f" * 64)
    assert (found.rows, found.price, list(told(found))) == ({"purchases": 2}, None, ["2 purchases"])


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deliveries")
    for name, drift in (("first", False), ("second", True)):
        write_sample(folder / name, products=300, drift=drift)
    return [profile(catalogue := Catalogue.open(folder / name), catalogue.fingerprint()) for name in ("first", "second")]


@pytest.mark.slow
def test_the_drift_of_the_sample_is_seen(deliveries):
    first, second = deliveries
    grave = [line for line, matters in changes(second, first) if matters]
    assert grave[0].startswith("299 → ")
    assert any(" new article types (" in line for line in grave)
    assert any(" new brands (" in line for line in grave)
    assert any(line.startswith("median price ") for line in grave)
    assert Profile.model_validate_json(second.model_dump_json()) == second
    assert next(told(first)).startswith("299 products, ")
