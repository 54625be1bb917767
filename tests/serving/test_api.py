import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from catalog.corruption import KINDS
from catalog.images import decode
from configs.errors import VitrinaError
from database.predictions import feedback_for, newest_predictions
from tests.serving.conftest import CONFIG, photo, quick, refused, taken, wait_until

LISTING = {"title": "Nordal Men Blue Shirt", "brand": "Nordal", "price": 999, "attributes": {"Fabric": "Cotton", "Fit": ""}}
ENDPOINTS = ("multimodal/analyze", "multimodal/classify", "price/predict", "quality/assess", "embeddings")
FAULTS = [{"kind": kind, "probability": pytest.approx(i / 10)} for i, kind in reversed(list(enumerate(KINDS)))]


def post(client, endpoint, body):
    return client.post(f"/v1/{endpoint}", json=body)


def test_analyze_answers_with_every_head_and_the_version(steady):
    answer = post(steady, "multimodal/analyze", LISTING | {"top_k": 2}).json()
    assert answer["model"] == {"name": "product", "version": 1}
    assert answer["modalities"] == ["title"]
    assert answer["categories"]["article_type"] == [
        {"label": "article_type 0", "probability": 0.5},
        {"label": "article_type 1", "probability": 0.25},
    ]
    assert answer["price"] == {"median": 100.12, "low": 50.0, "high": 200.0}
    assert np.linalg.norm(answer["embedding"]) == pytest.approx(1, abs=1e-6)
    assert answer["quality"] == {"score": 0.25, "faults": FAULTS}


def test_each_endpoint_answers_with_its_own_head(steady):
    head = {"prediction_id", "model", "modalities"}
    assert set(post(steady, "multimodal/classify", LISTING).json()) == head | {"categories"}
    assert set(post(steady, "price/predict", LISTING).json()) == head | {"price"}
    assert set(post(steady, "embeddings", LISTING).json()) == head | {"embedding"}
    assert set(post(steady, "quality/assess", LISTING).json()) >= head | {"score", "faults"}
    batch = post(steady, "embeddings/batch", {"items": [LISTING, {"title": "b"}]}).json()
    assert set(batch) == {"model", "items"}
    assert [set(item) for item in batch["items"]] == [head | {"embedding"}] * 2


def test_quality_comes_with_every_fault_the_most_probable_first(steady):
    as_json = post(steady, "quality/assess", LISTING | {"description": "Cotton"}).json()
    assert (as_json["score"], as_json["faults"]) == (0.25, FAULTS)
    assert as_json["modalities"] == ["title", "description"]
    assert as_json["model"] == {"name": "product", "version": 1}
    as_form = steady.post("/v1/quality/assess", files={"image": ("a.jpg", photo())}).json()
    assert (as_form["faults"], as_form["modalities"]) == (FAULTS, ["image"])


def test_the_model_gets_the_listing_as_it_was_sent(client, source):
    post(client, "price/predict", LISTING | {"article_type": "Shirts", "description": " ", "season": "Summer"})
    listing = source.predictors[1].asked[-1]
    assert (listing.title, listing.description, listing.price, listing.image) == ("Nordal Men Blue Shirt", None, 999.0, None)
    assert listing.categories == {"article_type": "Shirts"}
    assert listing.fields == {"brand": "Nordal", "season": "Summer"}
    assert listing.attributes == {"Fabric": "Cotton"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_comes_as_base64_or_as_a_file(client, source, kind):
    data = photo(kind)
    as_json = post(client, "multimodal/analyze", {"image": base64.b64encode(data).decode()})
    as_form = client.post("/v1/multimodal/analyze", files={"image": ("a.bin", data)}, data={"top_k": "1"})
    assert as_json.json()["modalities"] == as_form.json()["modalities"] == ["image"]
    assert all(np.array_equal(listing.image.pixels, decode(data)) for listing in source.predictors[1].asked)
    assert len(source.predictors[1].asked) == 2
    assert len(as_form.json()["categories"]["article_type"]) == 1


def test_a_form_says_the_same_as_json(client, source):
    fields = {name: str(value) for name, value in LISTING.items() if name != "attributes"}
    fields |= {"attributes": json.dumps(LISTING["attributes"])}
    assert post(client, "embeddings", LISTING).status_code == 200
    assert client.post("/v1/embeddings", data=fields, files={"image": ("", b"")}).status_code == 200  # no file chosen
    assert client.post("/v1/embeddings", files={name: (None, value) for name, value in fields.items()}).status_code == 200
    first, second, third = source.predictors[1].asked
    assert first == second == third


def test_a_large_photo_is_reduced_before_it_joins_a_batch(client, source, config):
    data = photo("PNG", (1200, 830))
    assert len(data) < config.max_body_bytes
    assert client.post("/v1/embeddings", files={"image": ("a.png", data)}).status_code == 200
    assert source.predictors[1].asked[-1].image.pixels.shape == (354, 512, 3)
    big = photo("PNG", (1001, 1000))
    message = refused(client.post("/v1/embeddings", files={"image": ("a.png", big)}), 400, "invalid_input", "image")
    assert "at most 1000000 pixels" in message


def test_unicode_passes(client, source):
    assert post(client, "embeddings", {"title": "Sári – 小さい 👗\nnew line"}).status_code == 200
    assert source.predictors[1].asked[-1].title == "Sári – 小さい 👗\nnew line"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"colour": "red"}, "colour", "unknown field 'colour'; allowed: title"),
        ({"price": 0}, "price", "greater than 0"),
        ({"price": -5}, "price", "greater than 0"),
        ({"price": "12"}, "price", "valid number"),
        ({"price": True}, "price", "valid number"),
        ({"title": 7}, "title", "valid string"),
        ({"title": "x" * 1001}, "title", "at most 1000 characters"),
        ({"description": "x" * 50_001}, "description", "at most 50000 characters"),
        ({"title": "a\x00b"}, "title", "control characters"),
        ({"attributes": {"a": "\x1b[31m"}}, "attributes.a", "control characters"),
        ({"attributes": {str(i): "x" for i in range(101)}}, "attributes", "at most 100"),
        ({"attributes": ["a"]}, "attributes", "object"),
        ({"image": "not base64!"}, "image", "not valid base64"),
        ({"image": base64.b64encode(b"plain text").decode()}, "image", "cannot be decoded; allowed: JPEG, PNG, WEBP"),
        ({"image": base64.b64encode(photo()[:-300]).decode()}, "image", "cannot be decoded"),
        ({"image": ""}, "image", "empty"),
    ],
)
def test_a_wrong_field_is_named(steady, endpoint, change, field, says):
    assert says in refused(post(steady, endpoint, LISTING | change), 400, "invalid_input", field)


@pytest.mark.parametrize("body", [{}, {"title": " "}, {"price": 5}, {"article_type": "Shirts"}])
def test_a_listing_that_says_nothing_is_refused(steady, body):
    assert "give at least one of title" in refused(post(steady, "embeddings", body), 400, "invalid_input")


@pytest.mark.parametrize("top_k", [0, 6, 1.5, "three"])
def test_top_k_is_bounded(steady, top_k):
    refused(post(steady, "multimodal/classify", LISTING | {"top_k": top_k}), 400, "invalid_input", "top_k")


def test_a_batch_names_the_item_at_fault(steady):
    items = [LISTING, LISTING | {"price": -1}]
    refused(post(steady, "embeddings/batch", {"items": items}), 400, "invalid_input", "items.1.price")
    items = [LISTING, LISTING | {"image": base64.b64encode(b"no").decode()}]
    refused(post(steady, "embeddings/batch", {"items": items}), 400, "invalid_input", "items.1.image")
    refused(post(steady, "embeddings/batch", {"items": [{}]}), 400, "invalid_input", "items.0")
    refused(post(steady, "embeddings/batch", {"items": []}), 400, "invalid_input", "items")
    message = refused(post(steady, "embeddings/batch", {"items": [LISTING] * 1001}), 400, "invalid_input", "items")
    assert "at most 1000" in message


def test_what_the_model_refuses_is_the_clients_fault_and_what_breaks_is_ours(steady):
    assert "listing 0 is refused" in refused(post(steady, "embeddings", {"title": "refused"}), 400, "invalid_input")
    message = refused(post(steady, "embeddings", {"title": "crash"}), 500, "internal")
    assert "a bug" not in message
    assert post(steady, "embeddings", LISTING).status_code == 200


@quick(CONFIG)
def test_an_answer_that_takes_too_long_is_given_up(client, source):
    source.predictors[1].seconds = 0.3
    refused(post(client, "embeddings", LISTING), 504, "timeout")


@pytest.mark.slow
def test_more_than_may_wait_is_told_to_come_again(client, source):
    response = post(client, "embeddings/batch", {"items": [LISTING] * 4})
    assert response.status_code == 200
    config_limit = 8
    source.predictors[1].seconds = 0.3
    with ThreadPoolExecutor(12) as pool:
        responses = list(pool.map(lambda _: post(client, "embeddings/batch", {"items": [LISTING] * 4}), range(12)))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= config_limit // 4
    full = next(response for response in responses if response.status_code == 503)
    refused(full, 503, "overloaded")
    assert full.headers["Retry-After"] == "1"


def test_a_moved_champion_answers_without_a_gap(client, source):
    assert post(client, "embeddings", LISTING).json()["model"]["version"] == 1
    source.at = 2
    wait_until(lambda: post(client, "embeddings", LISTING).json()["model"]["version"] == 2)
    assert client.get("/v1/models").json()["models"][0]["version"] == 2


def test_a_batch_has_one_version_even_when_the_champion_moves_in_between(settings, config, source):
    """Two listings a forward pass: the swap falls between the halves of the request."""
    from starlette.testclient import TestClient

    from serving.app import create_app

    app = create_app(settings, config.model_copy(update={"max_batch_size": 2}), source)
    with TestClient(app) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        source.predictors[1].seconds = 0.4  # the first half computes while the follower swaps
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(post, made, "embeddings/batch", {"items": [LISTING] * 4})
            wait_until(lambda: source.predictors[1].asked)
            source.at = 2
        answer = asking.result().json()
        versions = {item["model"]["version"] for item in answer["items"]}
        assert versions == {2}
        assert len(source.predictors[1].asked) == 2


def test_without_a_champion_it_waits_and_says_why(settings, config, source):
    from starlette.testclient import TestClient

    from serving.app import create_app

    source.error = VitrinaError("model 'product' has no champion")
    with TestClient(create_app(settings, config, source)) as made:
        wait_until(lambda: made.get("/readyz").json()["models"][0]["last_error"])
        ready = made.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["models"][0]["last_error"] == "model 'product' has no champion"
        assert made.get("/livez").status_code == 200
        response = post(made, "embeddings", LISTING)
        assert refused(response, 503, "not_ready") == "model product cannot answer yet; /readyz says why"
        assert response.headers["Retry-After"] == "5"
        source.error = None
        wait_until(lambda: post(made, "embeddings", LISTING).status_code == 200)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_health_answers_head_with_the_status_alone(steady, path):
    answer = steady.head(path)
    assert (answer.status_code, steady.get(path).status_code) == (200, 200)
    assert set(steady.get("/openapi.json").json()["paths"][path]) == {"get"}


def test_a_failing_load_shows_in_readiness_and_metrics_while_the_old_one_answers(client, source):
    source.error = VitrinaError("registry is away")
    wait_until(lambda: client.get("/readyz").json()["models"][0]["stale"])
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["models"][0]["last_error"] == "registry is away"
    assert post(client, "embeddings", LISTING).json()["model"]["version"] == 1
    # `steady` counts in the same process, and says 0 between
    wait_until(lambda: 'vitrina_model_stale{model="product"} 1.0' in client.get("/metrics").text)
    assert "vitrina_model_load_failures_total" in client.get("/metrics").text


def test_a_prediction_is_logged_and_feedback_finds_it(client, settings):
    answer = post(client, "multimodal/analyze", LISTING | {"image": base64.b64encode(photo()).decode()}).json()
    response = post(
        client, "feedback", {"prediction_id": answer["prediction_id"], "labels": {"article_type": "Shirts", "price": 950}}
    )
    assert response.status_code == 201  # at once, though the log writes later
    assert feedback_for(settings.database_url, [answer["prediction_id"]]) == {
        answer["prediction_id"]: {"article_type": "Shirts", "price": 950.0}
    }
    [row] = newest_predictions(settings.database_url, "product", 10)
    assert (row.id, row.model, row.version, row.endpoint) == (answer["prediction_id"], "product", 1, "multimodal/analyze")
    assert 0 < row.latency_ms < 2000
    assert row.inputs["title"] == "nordal men blue shirt"
    assert row.inputs["has_image"] is True
    assert row.inputs["price"] == 999
    assert row.outputs == {
        "predicted_article_type": "article_type 0",
        "article_type_confidence": 0.5,
        "predicted_price": 100.123,
        "quality": 0.25,
    }
    assert len(np.frombuffer(row.embedding, "<f4")) == 64


UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"prediction_id": UNKNOWN, "labels": {"price": 5}}, 404, "prediction_id"),
        ({"prediction_id": "../../etc/passwd", "labels": {"price": 5}}, 400, "prediction_id"),
        ({"prediction_id": UNKNOWN + "\n", "labels": {"price": 5}}, 400, "prediction_id"),
        ({"prediction_id": UNKNOWN, "labels": {}}, 400, "labels"),
        ({"prediction_id": UNKNOWN, "labels": {"articletype": "Shirts"}}, 400, "labels.articletype"),
        ({"prediction_id": UNKNOWN, "labels": {"price": -5}}, 400, "labels.price"),
        ({"prediction_id": UNKNOWN, "labels": {"price": "dear"}}, 400, "labels.price"),
        ({"prediction_id": UNKNOWN, "labels": {"article_type": ""}}, 400, "labels.article_type"),
        ({"prediction_id": UNKNOWN, "labels": {"article_type": " \u00a0"}}, 400, "labels.article_type"),
        ({"prediction_id": UNKNOWN}, 400, "labels"),
    ],
)
def test_wrong_feedback_is_refused(steady, body, status, field, monkeypatch):
    monkeypatch.setattr("serving.storage.WAITS", (0.01,))
    refused(post(steady, "feedback", body), status, "not_found" if status == 404 else "invalid_input", field)


LEVELS = ("master_category", "sub_category", "article_type")


def test_a_route_of_a_task_that_the_version_has_not_says_so(client, source):
    source.predictors[1].lacks = {"price": "no prices", "quality": "no photos", **dict.fromkeys(LEVELS, "no labels")}
    for url, says in (
        ("price/predict", "this version was trained without prices: its training rows had no prices"),
        ("quality/assess", "this version was trained without faults: its training rows had no photos"),
        ("multimodal/classify", "this version was trained without categories: its training rows had no labels"),
    ):
        assert refused(post(client, url, LISTING), 501, "not_supported") == says
    assert post(client, "embeddings", LISTING).status_code == 200
    assert post(client, "embeddings/batch", {"items": [LISTING] * 3}).status_code == 200


def test_all_heads_leave_out_what_the_version_has_no_task_for(client, source):
    source.predictors[1].lacks = {"price": "no prices", "sub_category": "no sub-categories", "sentiment": "no reviews"}
    said = post(client, "multimodal/analyze", LISTING).json()
    assert said["price"] is None
    assert said["categories"]["sub_category"] == []
    assert len(said["categories"]["article_type"]) == 3
    assert said["quality"]["score"] == 0.25
    assert said["left_out"] == {"price": "no prices", "sub_category": "no sub-categories"}
    assert set(post(client, "multimodal/classify", LISTING).json()["categories"]) == set(LEVELS)  # one level is enough
    source.predictors[1].lacks = {"quality": "no photos"}
    assert post(client, "multimodal/analyze", LISTING).json()["quality"] is None


def test_a_version_that_has_every_task_leaves_nothing_out(steady):
    assert post(steady, "multimodal/analyze", LISTING).json()["left_out"] == {}


def test_requests_are_counted_by_route_and_never_by_path(steady):
    steady.get("/v1/models")
    steady.get("/etc/passwd")
    text = steady.get("/metrics").text
    assert 'vitrina_requests_total{endpoint="/v1/models",status="200"}' in text
    assert "passwd" not in text


def test_the_page_needs_nothing_from_outside(steady):
    page = steady.get("/")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-light-32x32.png"):
        assert f"./assets/{asset}" in page.text
        assert steady.get(f"/assets/{asset}").status_code == 200


def test_the_document_describes_every_route_with_examples(steady):
    document = steady.get("/openapi.json").json()
    paths = document["paths"]
    assert {f"/v1/{endpoint}" for endpoint in (*ENDPOINTS, "embeddings/batch", "feedback", "models")} <= set(paths)
    body = paths["/v1/multimodal/analyze"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    properties = taken(document, "/v1/multimodal/analyze")["properties"]
    assert properties["title"]["examples"] == ["Nike Men Blue Running Shoes"]
    form = taken(document, "/v1/multimodal/analyze", kind="multipart/form-data")
    assert form["properties"]["image"]["format"] == "binary"
    example = {name: known["examples"][0] for name, known in properties.items() if "examples" in known}
    assert {"image", "attributes"} < set(example)
    assert post(steady, "multimodal/analyze", example).status_code == 200  # "Try it out" works
    batch = taken(document, "/v1/embeddings/batch")
    assert "title" in batch["properties"]["items"]["items"]["properties"]
    assert "$defs" not in json.dumps(document)
    assert set(paths["/v1/quality/assess"]["post"]["requestBody"]["content"]) == set(body)
    kinds = document["components"]["schemas"]["Fault"]["properties"]["kind"]["enum"]
    assert tuple(kinds) == KINDS
    sentiment = paths["/v1/sentiment/analyze"]["post"]
    assert set(sentiment["responses"]) >= {"200", "400", "413", "415", "501", "503", "504"}
    reviews = taken(document, "/v1/sentiment/analyze")["properties"]["reviews"]
    review = {name: known["examples"][0] for name, known in reviews["items"]["properties"].items()}
    assert set(review) == {"title", "text"}
    assert post(steady, "sentiment/analyze", {"reviews": [review]}).status_code == 200
    assert set(paths["/v1/embeddings"]["post"]["responses"]) >= {"200", "400", "413", "415", "503", "504"}
