"""What anyone would expect of a search over the catalogue, with the committed product model and its real index."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import committed
import numpy as np
import pytest
from homes import settings_of
from starlette.testclient import TestClient

from catalog.catalogue import Catalogue, listing_of, records_of
from configs.schema import IndexConfig, ServingConfig
from configs.settings import Settings
from models.bundles import INDEX
from models.product.predictor import ProductPredictor
from registry.bundle import write_manifest
from serving.app import create_app
from serving.search.building import build
from serving.source import PackedSource
from tests.serving.conftest import wait_until

CONFIG = ServingConfig(models=("product",), poll_seconds=0.1)
URL = "/v1/search/similar"


@pytest.fixture(scope="module")
def packed(product_catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed bundle with the index of its catalogue, as a Bento holds it."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "product").mkdir()
    bundle = committed.copied("product", folder / "product" / "1")
    found = build("product", bundle, product_catalogue, IndexConfig(), folder / "found")
    shutil.move(found / INDEX, bundle / INDEX)
    write_manifest(bundle)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    return settings_of(home)


@pytest.fixture(scope="module")
def client(packed: Path, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, CONFIG, PackedSource(packed))) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        yield made


@pytest.fixture(scope="module")
def rows(product_catalogue: Catalogue) -> list[dict]:
    return records_of(product_catalogue.products().drop_duplicates("product_id").sample(60, random_state=0))


def search(client: TestClient, **body: object) -> list[dict]:
    response = client.post(URL, json=body)
    assert response.status_code == 200, response.text
    return response.json()["items"]


@pytest.mark.slow
def test_similar_products_are_of_the_same_type(client: TestClient, rows: list[dict]) -> None:
    same = [
        item["categories"].get("article_type") == row["article_type"]
        for row in rows
        for item in search(client, product_id=row["product_id"], limit=5)
    ]
    assert np.mean(same) >= 0.9  # 0.98


def test_a_search_by_id_and_one_by_its_vector_agree(
    client: TestClient, rows: list[dict], product: ProductPredictor, product_catalogue: Catalogue
) -> None:
    for row in rows[:20]:
        listing = listing_of(row, None if row["product_id"] == 11457 else product_catalogue.images.get(row["product_id"]))
        vector = product.place([listing])[0].astype(float).tolist()
        near = search(client, vector=vector, limit=6)
        by_id = search(client, product_id=row["product_id"], limit=5)
        assert row["product_id"] in [item["product_id"] for item in near if item["score"] > 0.999]
        others = [item for item in near if item["product_id"] != row["product_id"]]
        np.testing.assert_allclose([item["score"] for item in others][:5], [item["score"] for item in by_id], atol=1e-3)


def test_filters_are_exact(client: TestClient, product_catalogue: Catalogue) -> None:
    told = product_catalogue.products().drop_duplicates("product_id").set_index("product_id")
    for filters, passes in [
        ({"categories": ["Jeans"]}, lambda row: row.article_type == "Jeans"),
        ({"categories": ["Footwear"], "price_max": 2000}, lambda row: row.master_category == "Footwear" and row.price <= 2000),
        ({"brands": ["Pico"], "attributes": {"gender": "Women"}}, lambda row: row.brand == "Pico" and row.gender == "Women"),
    ]:
        items = search(client, text="blue", limit=100, filters=filters)
        allowed = {key for key, row in told.iterrows() if passes(row)}
        assert {item["product_id"] for item in items} <= allowed
        assert len(items) == min(100, len(allowed & set(told.index)))


def test_words_find_what_they_say(client: TestClient) -> None:
    for text, kind in (("blue jeans for men", "Jeans"), ("steel wrist watch", "Watches"), ("leather handbag", "Handbags")):
        found = [item["categories"]["article_type"] for item in search(client, text=text, limit=5)]
        assert found.count(kind) >= 4, (text, found)


def test_a_product_that_is_put_is_near_those_like_it(client: TestClient, rows: list[dict]) -> None:
    row = next(row for row in rows if row["title"] and row["article_type"] == "Jeans")
    response = client.put("/v1/catalog/products/new", json={"title": row["title"], "brand": row["brand"]})
    assert response.status_code == 201
    assert {item["categories"].get("article_type") for item in search(client, product_id="new", limit=3)} == {"Jeans"}
    assert "new" in [item["product_id"] for item in search(client, text=row["title"], limit=3)]
    assert client.delete("/v1/catalog/products/new").status_code == 204
    assert client.post(URL, json={"product_id": "new"}).status_code == 404


@pytest.mark.slow
def test_another_process_sees_a_change_in_its_next_answer(client: TestClient, packed: Path, settings: Settings) -> None:
    root = Path(__file__).parents[2]
    other = subprocess.Popen(
        [sys.executable, root / "tests" / "searching.py", settings.home, packed],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert other.stdin is not None
    assert other.stdout is not None

    def best() -> str:
        other.stdin.write("striped zebra mug\n")
        return other.stdout.readline().strip()

    try:
        assert best() != "mug"
        for _ in range(3):
            client.put("/v1/catalog/products/mug", json={"title": "striped zebra mug"})
            assert best() == "mug"
            client.put("/v1/catalog/products/mug", json={"hidden": True})
            assert best() != "mug"
        client.delete("/v1/catalog/products/mug")
        assert best() != "mug"
    finally:
        other.stdin.close()
        other.wait(60)


def test_a_damaged_index_is_not_served(packed: Path, settings: Settings, tmp_path: Path) -> None:
    folder = shutil.copytree(packed, tmp_path / "packed")
    vectors = folder / "product" / "1" / INDEX / "vectors.npy"
    vectors.write_bytes(vectors.read_bytes()[:-2])
    with TestClient(create_app(settings, CONFIG, PackedSource(folder))) as client:
        wait_until(lambda: client.get("/readyz").json()["models"][0]["last_error"])
        said = client.get("/readyz").json()["models"][0]["last_error"]
        assert "index/vectors.npy has" in said
        assert client.post(URL, json={"text": "a"}).status_code == 503
        write_manifest(folder / "product" / "1")  # sealed as it is: then the index itself refuses
        wait_until(lambda: "cannot read the index" in client.get("/readyz").json()["models"][0]["last_error"])


@pytest.mark.slow
def test_every_product_whose_photo_can_be_read_shows_it(client: TestClient, product_catalogue: Catalogue) -> None:
    items, after = [], None
    while True:
        page = client.get("/v1/catalog/products", params={"limit": 100} | ({"after": after} if after else {})).json()
        items += page["items"]
        if (after := page["next"]) is None:
            break
    assert [item["product_id"] for item in items] == sorted(product_catalogue.keys("products", "product_id").unique())
    for item in items[::25]:
        response = client.get(f"/v1/catalog/products/{item['product_id']}/image")
        sent = product_catalogue.images.get(item["product_id"])
        assert (response.status_code, response.content) == (200, sent) if item["has_photo"] else (404, response.content)
    assert sum(item["has_photo"] for item in items) == len(items) - 4  # three have none, and one is cut off
