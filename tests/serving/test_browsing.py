"""GET /v1/catalog/products and the photos of products, through the whole application."""

import base64
import io
import re
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from configs.schema import IndexConfig
from serving.app import create_app
from tests.serving.conftest import CONFIG, SHOP, photo, refused, wait_until

URL = "/v1/catalog/products"
HAT = {"title": "Yellow Straw HAT", "article_type": "Hats"}
LARGE = photo("PNG", (400, 300))


@pytest.fixture(scope="module")
def config():
    return CONFIG.model_copy(update={"models": ("product",)})


def page(client, **query):
    response = client.get(URL, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def listed(client, **query):
    return [item["product_id"] for item in page(client, **query)["items"]]


def put(client, name, image=None, **listing):
    body = listing | ({"image": base64.b64encode(image).decode()} if image else {})
    response = client.put(f"{URL}/{quote(str(name), safe='')}", json=body)
    assert response.status_code in (200, 201), response.text


def image(client, name, **headers):
    return client.get(f"{URL}/{quote(str(name), safe='')}/image", headers=headers)


# Pages


def test_products_come_by_their_ids_as_each_is_answered_alone(steady):
    body = page(steady)
    assert (body["model"], body["products"], body["next"]) == ({"name": "product", "version": 1}, 6, None)
    assert body["items"] == [steady.get(f"{URL}/{name}").json() for name in SHOP["product_id"]]
    assert [item["has_photo"] for item in body["items"]] == [False, True] * 3


def test_pages_follow_each_other(steady):
    first = page(steady, limit=4)
    assert ([item["product_id"] for item in first["items"]], first["next"]) == ([1, 2, 3, 4], 4)
    second = page(steady, limit=4, after=first["next"])
    assert ([item["product_id"] for item in second["items"]], second["next"], second["products"]) == ([5, 6], None, 6)
    assert (listed(steady, after=6), listed(steady, after="zebra"), listed(steady, after=-3, limit=1)) == ([], [], [1])


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"q": "denim"}, [1, 2, 3]),
        ({"q": "DENIM  eans"}, [2, 3]),
        ({"q": "red", "article_type": "Jeans"}, [3]),
        ({"article_type": "Jeans"}, [2, 3]),
        ({"article_type": "Bottomwear"}, []),
        ({"q": "denim", "after": 1, "limit": 1}, [2]),
        ({"q": "  "}, [1, 2, 3, 4, 5, 6]),
        ({"q": "100%"}, []),
    ],
)
def test_pages_of_some(steady, query, names):
    assert listed(steady, **query) == names


@pytest.mark.slow
def test_what_clients_put_hide_and_delete(client):
    put(client, 10, **HAT)
    put(client, "a/b", image=LARGE)  # says nothing but with its photo
    put(client, 4, **HAT)
    put(client, 9, **HAT, hidden=True)
    put(client, 2, hidden=True)
    client.delete(f"{URL}/3")
    body = page(client)
    assert ([item["product_id"] for item in body["items"]], body["products"]) == ([1, 4, 5, 6, 10, "a/b"], 6)
    assert [(item["put"], item["has_photo"]) for item in body["items"][1:]] == [
        (True, False),
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]
    assert (listed(client, q="hat straw"), listed(client, article_type="Hats", after=4)) == ([4, 10], [10])
    assert page(client, limit=5)["next"] == 10
    put(client, 2, hidden=False)
    client.delete(f"{URL}/10")
    assert listed(client, after=1) == [2, 4, 5, 6, "a/b"]
    assert listed(client, after=10) == ["a/b"], "a page goes on after a product that is gone"


def test_products_of_a_version_without_an_index_are_those_that_clients_put(settings, config, source):
    source.shops[1] = None
    with TestClient(create_app(settings, config, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert page(client)["items"] == []
        put(client, 7, image=LARGE, **HAT)
        assert listed(client) == ["7"]
        assert (image(client, 7).status_code, image(client, 1).status_code) == (200, 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": ""}, "after"),
        ({"after": "a\tb"}, "after"),
        ({"q": "x" * 201}, "q"),
        ({"q": "a\u0000"}, "q"),
        ({"article_type": "x" * 201}, "article_type"),
    ],
)
def test_what_is_no_page(steady, query, field):
    refused(steady.get(URL, params=query), 400, "invalid_input", field)


# Photos


def test_a_photo_that_was_kept_when_the_version_was_trained(steady):
    response = image(steady, 2)
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, photo(), "image/jpeg")
    assert (response.headers["etag"], response.headers["cache-control"]) == ('"1-0"', "private, max-age=60")
    for named in ('"1-0"', 'W/"1-0"', '"0-0", "1-0"', '"0-0","1-0"', "*"):
        again = image(steady, 2, **{"If-None-Match": named})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"1-0"')
    assert image(steady, 2, **{"If-None-Match": '"2-0"'}).status_code == 200


def test_no_photo(steady):
    assert "'1' has no photo" in refused(image(steady, 1), 404, "no_photo", "product_id")
    refused(image(steady, "nobody"), 404, "not_found", "product_id")
    refused(image(steady, "a" * 201), 400, "invalid_input", "product_id")


def test_the_photo_that_a_client_put_reduced(client):
    put(client, 1, image=LARGE, **HAT)
    response = image(client, 1)
    with Image.open(io.BytesIO(response.content)) as seen:
        assert (seen.format, seen.size) == ("JPEG", (IndexConfig().photo_side, 120))
        assert np.abs(np.asarray(seen).astype(int) - (200, 30, 30)).max() < 8
    assert response.headers["etag"] == '"1-1"'
    assert image(client, 1).content == response.content
    put(client, 1, hidden=False)  # leaves what it is
    assert (image(client, 1).content, image(client, 1).headers["etag"]) == (response.content, '"1-2"')
    put(client, 1, image=photo(), **HAT)
    assert (image(client, 1).content, image(client, 1).headers["etag"]) == (photo(), '"1-3"')
    put(client, 2, **HAT)  # the whole product: it has no photo any more
    refused(image(client, 2), 404, "no_photo", "product_id")


@pytest.mark.parametrize("way", ["hidden", "deleted"])
def test_what_is_hidden_or_deleted_is_not_seen(client, way):
    put(client, 9, image=LARGE, **HAT)
    for name in (2, 9):
        if way == "deleted":
            client.delete(f"{URL}/{name}")
        else:
            put(client, name, hidden=True)
            assert client.get(f"{URL}/{name}").json()["has_photo"] is False
        refused(image(client, name), 404, "not_found", "product_id")


def test_an_id_may_end_as_the_path_of_photos_does(client):
    put(client, "x/image", image=LARGE, **HAT)
    assert client.get(f"{URL}/x%2Fimage").json()["product_id"] == "x/image"
    assert image(client, "x/image").status_code == 200
    refused(client.get(f"{URL}/x/image"), 404, "not_found", "product_id")
    for response in (client.put(f"{URL}/x/image", json=HAT), client.delete(f"{URL}/x/image"), client.post(f"{URL}/x/image")):
        refused(response, 405, "method_not_allowed")
    assert client.delete(f"{URL}/x%2Fimage").status_code == 204


def test_the_routes_of_the_catalogue_are_counted_under_v1(client):
    put(client, "new", **HAT)
    client.get(URL)
    client.get(f"{URL}/new")
    image(client, 2)
    client.post(URL, json={"items": [{"product_id": "new", **HAT}]})
    counted = re.findall(r'vitrina_requests_total\{endpoint="([^"]*catalog[^"]*)"', client.get("/metrics").text)
    assert set(counted) == {URL, f"{URL}/{{product_id:path}}", f"{URL}/{{product_id:path}}/image"}


def test_another_version_names_its_photos_otherwise(client, source):
    source.at = 2
    wait_until(lambda: client.get("/readyz").json()["models"][0]["version"] == 2)
    assert image(client, 2, **{"If-None-Match": '"1-0"'}).headers["etag"] == '"2-0"'
