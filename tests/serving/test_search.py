"""POST /v1/search/similar through the whole application: what is found, and what is refused."""

import base64
import json
import threading

import pytest
from starlette.testclient import TestClient

from serving.app import create_app
from tests.serving.conftest import CONFIG, SHOP, photo, placed, refused, wait_until

URL = "/v1/search/similar"
TITLES = dict(zip(SHOP["product_id"], SHOP["title"], strict=True))
EVERY = {"text": "denim", "limit": 6}


@pytest.fixture(scope="module")
def config():
    return CONFIG.model_copy(update={"models": ("product",)})


def ask(client, **body):
    return client.post(URL, json=body)


def found(client, **body):
    response = ask(client, **body)
    assert response.status_code == 200, response.text
    return [item["product_id"] for item in response.json()["items"]]


def by_hand(vector, leave=()):
    """All products by their cosine with a vector, best first."""
    cosines = {key: float(placed(title) @ vector) for key, title in TITLES.items() if key not in leave}
    return sorted(cosines, key=lambda key: -cosines[key])


# What is found


def test_products_that_are_like_one_of_the_catalogue_without_itself(steady):
    response = ask(steady, product_id=2, limit=3)
    assert response.status_code == 200
    body = response.json()
    assert (body["model"], body["products"]) == ({"name": "product", "version": 1}, 6)
    assert [item["product_id"] for item in body["items"]] == by_hand(placed("blue denim jeans"), [2])[:3]
    best = body["items"][0]
    row = SHOP.set_index("product_id").loc[best["product_id"]]
    assert best["score"] == pytest.approx(float(placed("blue denim jeans") @ placed(row["title"])), abs=2e-3)
    assert (best["title"], best["brand"], best["price"]) == (row["title"], row["brand"], row["price"])
    levels = ("master_category", "sub_category", "article_type")
    assert best["categories"] == {level: row[level] for level in levels}
    assert {item["product_id"]: item["has_photo"] for item in body["items"]} == {3: False, 1: False, 6: True}


def test_an_id_is_the_same_as_number_and_as_text(steady):
    assert ask(steady, product_id=2).json() == ask(steady, product_id="2").json() == ask(steady, product_id=2.0).json()


def test_a_text_a_photo_and_a_vector_are_looked_for(steady):
    assert found(steady, text="steel watch")[0] == 5
    image = base64.b64encode(photo()).decode()
    assert found(steady, image=image) == by_hand(placed("photo"))
    assert found(steady, image=image, text="red cotton shirt")[0] == 4
    assert found(steady, vector=(7 * placed("red denim jeans").astype(float)).tolist())[0] == 3


def test_a_form_with_a_photo_and_filters(steady):
    form = {"text": "watch", "limit": "2", "filters": json.dumps({"categories": ["Watches"], "price_max": 100})}
    response = steady.post(URL, data=form, files={"image": ("a.jpg", photo(), "image/jpeg")})
    assert response.status_code == 200, response.text
    assert [item["product_id"] for item in response.json()["items"]] == [6]
    vector = json.dumps(placed("steel watch").astype(float).tolist())
    assert steady.post(URL, files={"vector": (None, vector)}).json()["items"][0]["product_id"] == 5
    refused(
        steady.post(URL, data={"filters": "["}, files={"image": ("a.jpg", photo(), "image/jpeg")}),
        400,
        "invalid_input",
        "filters",
    )


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ({}, {1, 2, 3, 4, 5, 6}),
        ({"categories": ["Apparel"]}, {1, 2, 3, 4}),
        ({"categories": ["Topwear", "Watches"]}, {1, 4, 5, 6}),
        ({"categories": ["Jeans"]}, {2, 3}),
        ({"brands": ["Acme", "Chrono"]}, {1, 2, 5}),
        ({"price_min": 40}, {1, 2, 3, 5}),
        ({"price_max": 45}, {2, 3, 6}),
        ({"price_min": 40, "price_max": 45}, {2, 3}),
        ({"attributes": {"Fabric": "Denim"}}, {1, 2, 3}),
        ({"attributes": {"Fabric": ["Denim", "Cotton"]}}, {1, 2, 3, 4}),
        ({"attributes": {"Fabric": ["Denim", "Cotton"], "gender": "Women"}}, {3, 4}),
        ({"categories": ["Jeans"], "brands": ["Bravo"], "price_max": 50, "attributes": {"gender": "Women"}}, {3}),
        ({"categories": ["Jeans"], "brands": ["Chrono"]}, set()),
        ({"categories": ["jeans"]}, set()),
        ({"brands": ["Denim"]}, set()),
        ({"attributes": {"Denim": "Fabric"}}, set()),
    ],
)
def test_filters_leave_exactly_what_passes_in_the_same_order(steady, filters, left):
    everything = found(steady, **EVERY)
    assert found(steady, **EVERY, filters=filters) == [key for key in everything if key in left]


def test_as_many_as_are_asked_for_at_most(steady):
    assert len(found(steady, text="denim", limit=1)) == 1
    assert len(found(steady, product_id=1, limit=100)) == 5
    assert len(found(steady, text="denim")) == 6


def test_answers_to_requests_at_once_are_those_of_each_alone(steady):
    asks = [{"product_id": key, "limit": limit} for key in TITLES for limit in (1, 4)] + [{"text": t} for t in TITLES.values()]
    alone = [found(steady, **body) for body in asks]
    together = [None] * len(asks)

    def one(place):
        while (response := ask(steady, **asks[place])).status_code == 503:
            pass
        together[place] = [item["product_id"] for item in response.json()["items"]]

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(asks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


# What is refused


def test_a_product_that_is_not_there(steady):
    message = refused(ask(steady, product_id=77), 404, "not_found", "product_id")
    assert message == "product_id: no product '77' can be found"


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, None, "give either product_id, or text, image or both, or vector"),
        ({"text": "  "}, None, "give either"),
        ({"product_id": 1, "text": "a"}, None, "give either"),
        ({"product_id": 1, "vector": [1.0]}, None, "give either"),
        ({"vector": [0.0] * 16}, None, "must not be 0 in all places"),
        ({"vector": []}, "vector", "at least 1 item"),
        ({"vector": [1.0] * 5000}, "vector", "at most 4096"),
        ({"vector": [1.0] * 15}, "vector", "vector: has 15 numbers; this version's have 16"),
        ({"vector": ["a"]}, "vector.0", "valid number"),
        ({"product_id": True}, "product_id", "must be an integer"),
        ({"product_id": "a\u0000"}, "product_id", "control characters"),
        ({"product_id": "a" * 201}, "product_id", "1 to 200 characters"),
        ({"text": "a", "limit": 0}, "limit", "greater than or equal to 1"),
        ({"text": "a", "limit": 101}, "limit", "less than or equal to 100"),
        ({"text": "a", "image": "https://example.org/a.jpg"}, "image", "base64"),
        ({"text": "a", "filters": {"price_min": 2, "price_max": 1}}, "filters.price_max", "must be at least price_min, 2"),
        ({"text": "a", "filters": {"attributes": {"a": []}}}, "filters.attributes.a", "at least 1 item"),
        ({"text": "a", "filters": {"categories": [""]}}, "filters.categories.0", "at least 1 item"),
        ({"text": "a", "filters": {"category": "a"}}, "filters.category", "unknown field"),
        (
            {"text": "a", "url": "https://example.org"},
            "url",
            "unknown field 'url'; allowed: text, image, limit, filters, product_id, vector",
        ),
        ({"text": "refused"}, None, "listing 0 is refused"),
    ],
)
def test_what_is_wrong_is_named(steady, body, field, says):
    assert says in refused(ask(steady, **body), 400, "invalid_input", field)


def test_a_vector_that_is_not_finite(steady):
    for number in ("NaN", "Infinity", "1e999"):
        response = steady.post(URL, content=f'{{"vector": [{number}]}}', headers={"content-type": "application/json"})
        assert response.status_code == 400


def test_a_number_in_a_form_that_is_too_long_to_be_read(steady):
    response = steady.post(URL, files={"vector": (None, f"[{'1' * 5000}]")})
    refused(response, 400, "invalid_input", "vector")


@pytest.mark.parametrize("scale", [1e-300, 1e-45, 1.0, 1e300])
def test_a_vector_of_any_length(steady, scale):
    vector = [float(number) * scale for number in placed("steel watch")]
    items = ask(steady, vector=vector, limit=1).json()["items"]
    assert (items[0]["product_id"], items[0]["score"]) == (5, pytest.approx(1, abs=1e-3))


def test_one_wrong_request_fails_no_other_of_its_batch(client, source):
    responses = {}

    def one(name, **body):
        responses[name] = ask(client, **body)

    source.predictors[1].seconds = 0.1
    asks = {"good": {"text": "denim"}, "refused": {"text": "refused"}, "gone": {"product_id": 9}, "id": {"product_id": 1}}
    threads = [threading.Thread(target=one, args=(name,), kwargs=body) for name, body in asks.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: response.status_code for name, response in responses.items()} == {
        "good": 200,
        "refused": 400,
        "gone": 404,
        "id": 200,
    }


# Versions


def test_a_version_without_an_index_says_what_to_do(settings, config, source):
    source.shops[1] = None
    with TestClient(create_app(settings, config, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        message = refused(ask(client, text="a"), 501, "not_supported")
        assert message == "this version has no index of products; `vitrina train product` makes a version that has one"


def test_the_index_is_swapped_with_the_model_that_made_its_vectors(client, source):
    source.shops[2] = SHOP[SHOP["product_id"] != 5]
    assert found(client, text="steel watch")[0] == 5
    source.at = 2
    wait_until(lambda: ask(client, text="steel watch").json()["model"]["version"] == 2)
    body = ask(client, text="red denim jeans", limit=1).json()
    assert (body["products"], body["items"][0]["product_id"]) == (5, 3)
    assert body["items"][0]["score"] == pytest.approx(1, abs=1e-3)  # both by version 2: those of two have nothing in common
    refused(ask(client, product_id=5), 404, "not_found", "product_id")


def test_an_index_of_another_model_is_not_served(client, source, monkeypatch):
    monkeypatch.setattr("tests.serving.conftest.Predictor.dimensions", 17)
    source.at = 2
    wait_until(lambda: client.get("/readyz").json()["models"][0]["last_error"])
    said = client.get("/readyz").json()["models"][0]["last_error"]
    assert said == "the index of product version 2 has vectors of 16 numbers, the model makes 17"
    assert found(client, text="steel watch")[0] == 5  # by version 1


def test_texts_of_ids_that_are_text(settings, config, source):
    source.shops[1] = SHOP.assign(product_id=[f"sku-{key}" for key in SHOP["product_id"]])
    with TestClient(create_app(settings, config, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert found(client, product_id="sku-2", limit=6) == [f"sku-{key}" for key in by_hand(placed("blue denim jeans"), [2])]


def test_the_answer_is_kept_until_something_changes(client, source):
    source.predictors[1].placed.clear()
    first = ask(client, text="denim")
    assert ask(client, text="denim").content == first.content
    assert source.predictors[1].placed == ["denim"]
    client.put("/v1/catalog/products/8", json={"title": "denim"})
    assert found(client, text="denim")[0] == 8


def test_the_document_says_what_is_taken(steady):
    document = steady.get("/openapi.json").json()
    assert document["paths"][URL]["post"]["operationId"] == "search_similar"
    assert document["components"]["schemas"]["SimilarIn"]["properties"]["limit"]["maximum"] == 100
