"""Requests that ask for the challenger: who answers, what is kept and logged of it, and what is refused."""

import base64
import weakref
from contextlib import contextmanager

import pytest
from homes import settings_of
from starlette.testclient import TestClient

from configs.errors import VitrinaError
from configs.schema import ResultsConfig
from database.catalog import Placing, changes_since
from database.predictions import newest_predictions
from serving.app import create_app
from serving.routes import discover
from tests.serving.conftest import CONFIG, Source, photo, refused, wait_until

ALL = CONFIG.model_copy(update={"models": tuple(discover()), "challengers": True})
ASK = {"Vitrina-Alias": "challenger"}
LISTING = {"title": "blue denim jeans"}
POSTS = {
    "/v1/multimodal/analyze": LISTING,
    "/v1/multimodal/classify": LISTING,
    "/v1/price/predict": LISTING,
    "/v1/embeddings": LISTING,
    "/v1/embeddings/batch": {"items": [LISTING]},
    "/v1/sentiment/analyze": {"reviews": [{"text": "good"}]},
    "/v1/search/similar": {"product_id": 2},
    "/v1/quality/assess": LISTING,
    "/v1/recommendations": {"num_recs": 2},
    "/v1/generate/description": LISTING | {"brand": "Acme"},
    "/v1/generate/image": {"prompt": "blue shirt", "seed": 3},
}


@pytest.fixture
def source():
    return Source(challengers=dict.fromkeys(discover(), 2))


@contextmanager
def compared(settings, source):
    """A client of an application whose models all have champions and challengers, where they may."""
    with TestClient(create_app(settings, ALL, source), raise_server_exceptions=False) as made:
        wait_until(lambda: made.get("/readyz").status_code == 200)
        wait_until(lambda: challengers(made) == {name: v for name, v in source.challengers.items() if name != "fewshot"})
        yield made


@pytest.fixture
def client(settings, source):
    with compared(settings, source) as made:
        yield made


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """The same for all tests of this module that only look at answers."""
    with compared(settings_of(tmp_path_factory.mktemp("steady")), Source(challengers=dict.fromkeys(discover(), 2))) as made:
        yield made


def challengers(client):
    return {model["name"]: model["challenger"] for model in client.get("/v1/models").json()["models"] if model["challenger"]}


def ask(client, path, body, **headers):
    return client.post(path, json=body, headers=headers or ASK)


@pytest.mark.parametrize("path", POSTS)
def test_the_challenger_answers_where_it_is_asked_for(steady, path):
    for headers, version in (({}, 1), (ASK, 2), ({"Vitrina-Alias": "champion"}, 1)):
        response = steady.post(path, json=POSTS[path], headers=headers)
        assert response.status_code == 200, response.text
        assert response.json()["model"]["version"] == version


def test_every_route_that_may_be_compared_was_tried():
    assert {path for module in discover().values() for path in module.COMPARED} == set(POSTS)


@pytest.mark.slow
def test_a_form_asks_as_well(client, source):
    response = client.post("/v1/multimodal/classify", data=LISTING, files={"image": ("a.jpg", photo())}, headers=ASK)
    assert (response.status_code, response.json()["model"]["version"]) == (200, 2)
    assert source.predictors[2].asked[-1].image is not None


def test_it_is_neither_logged_nor_kept(settings, source):
    keeping = ALL.model_copy(update={"models": ("product", "quality"), "results": ResultsConfig()})
    with TestClient(create_app(settings, keeping, source)) as client:
        wait_until(lambda: challengers(client) == {"product": 2, "quality": 2})
        answers = [ask(client, path, POSTS[path]).json() for path in ("/v1/quality/assess", "/v1/embeddings") for _ in range(2)]
        assert len(source.qualities[2].asked) == 2, "computed each time"
        assert client.post("/v1/quality/assess", json=LISTING).json()["model"]["version"] == 1
        assert len(source.qualities[1].asked) == 1, "what the challenger said is not the champion's answer"
        wait_until(lambda: newest_predictions(settings.database_url, "quality", 10))
    for model in ("product", "quality"):
        found = newest_predictions(settings.database_url, model, 10)
        assert {row.version for row in found} <= {1}
        assert not {row.id for row in found} & {answer["prediction_id"] for answer in answers}


@pytest.mark.slow
def test_its_searches_have_an_index_of_their_own_and_take_in_what_clients_put(client, source, settings):
    hat = {"title": "yellow straw hat", "image": base64.b64encode(photo()).decode()}
    assert client.put("/v1/catalog/products/99", json=hat).status_code == 201
    for headers, version in (({}, 1), (ASK, 2)):
        body = client.post("/v1/search/similar", json={"text": "yellow straw hat", "limit": 1}, headers=headers).json()
        assert (body["model"]["version"], body["items"][0]["product_id"]) == (version, 99)
        assert body["items"][0]["score"] == pytest.approx(1, abs=1e-5)
    for version in (1, 2):
        by = Placing("product", version, source.digest("product", version))
        [put] = changes_since(settings.database_url, 0, by)[1]
        assert put.vector is not None, "a version forgets no vectors of the other"
    assert client.delete("/v1/catalog/products/1").status_code == 204
    body = client.post("/v1/search/similar", json={"text": "denim"}, headers=ASK).json()
    assert 1 not in [item["product_id"] for item in body["items"]]
    ask(client, "/v1/recommendations", {})
    assert source.recommenders[2].asked[-1].exclude == {"1"}


@pytest.mark.slow
def test_it_is_followed(client, source):
    gone = weakref.ref(source.predictors.pop(2))
    source.challengers["product"] = 3
    wait_until(lambda: challengers(client)["product"] == 3)
    assert ask(client, "/v1/embeddings", LISTING).json()["model"]["version"] == 3
    source.predictors.pop(3)
    del source.challengers["product"]
    source.at = 3  # it was promoted
    wait_until(lambda: "product" not in challengers(client))
    message = refused(ask(client, "/v1/embeddings", LISTING), 409, "no_challenger")
    assert "model product has no challenger" in message
    wait_until(lambda: {model["version"] for model in client.get("/readyz").json()["models"]} == {3})
    assert client.post("/v1/embeddings", json=LISTING).json()["model"]["version"] == 3
    assert gone() is None, "what is no challenger any more is freed"


@pytest.mark.slow
def test_one_that_does_not_load_leaves_the_champions_alone(client, source, caplog):
    load = source.load

    def failing(model, version):
        if version == 5:
            raise VitrinaError("model.safetensors: hash differs")
        return load(model, version)

    source.load = failing
    source.challengers["product"] = 5
    wait_until(lambda: "challenger of model product stays on version 2: model.safetensors: hash differs" in caplog.text)
    assert ask(client, "/v1/embeddings", LISTING).json()["model"]["version"] == 2
    ready = client.get("/readyz")
    assert (ready.status_code, {model["last_error"] for model in ready.json()["models"]}) == (200, {None})


def test_a_first_version_can_be_tried_before_it_is_champion(settings, source):
    only = ALL.model_copy(update={"models": ("product", "quality"), "unpromoted": ("quality",)})
    source.errors["quality"] = VitrinaError("no champion")
    source.challenger = source.challengers.get
    with TestClient(create_app(settings, only, source)) as client:
        wait_until(lambda: challengers(client) == {"product": 2, "quality": 2})
        answers = [client.post("/v1/quality/assess", json=LISTING, headers=headers).json() for headers in ({}, ASK)]
        assert [answer["model"] for answer in answers] == [
            {"name": "product", "version": 1},
            {"name": "quality", "version": 2},
        ]
        del source.challengers["quality"]
        wait_until(lambda: challengers(client) == {"product": 2})
        assert ask(client, "/v1/quality/assess", LISTING).json()["model"] == {"name": "product", "version": 2}


def test_no_challenger_stands_in_for_another_model(client, source):
    del source.challengers["quality"]
    wait_until(lambda: "quality" not in challengers(client))
    assert "model quality has no" in refused(ask(client, "/v1/quality/assess", LISTING), 409, "no_challenger")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("GET", "/v1/catalog/products"),
        ("PUT", "/v1/catalog/products/5"),
        ("POST", "/v1/catalog/products"),
        ("POST", "/v1/recommendations/events"),
        ("POST", "/v1/fewshot/classify"),
        ("POST", "/v1/feedback"),
        ("GET", "/v1/embeddings"),
        ("POST", "/v1/nowhere"),
    ],
)
def test_what_a_challenger_does_not_answer(steady, method, path):
    response = steady.request(method, path, json={"title": "hat"}, headers=ASK)
    assert "it answers POST /v1/" in refused(response, 400, "invalid_input", "Vitrina-Alias")


@pytest.mark.slow
def test_it_does_no_jobs(client):
    many = {"items": [LISTING] * (CONFIG.max_items + 1)}
    for path, body, more in (
        ("/v1/embeddings/batch", many, {}),
        ("/v1/embeddings/batch", {"items": [LISTING]}, {"Prefer": "respond-async"}),
        ("/v1/generate/image", {"items": [{"prompt": "blue shirt"}]}, {}),
    ):
        response = ask(client, path, body, **ASK, **more)
        assert "is done by the champion" in refused(response, 400, "invalid_input", "Vitrina-Alias")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_faults_are_told_as_the_champion_tells_them(steady):
    refused(ask(steady, "/v1/embeddings", {"title": "x", "price": -1}), 400, "invalid_input", "price")
    refused(steady.post("/v1/embeddings", content=b"x", headers=ASK), 415, "unsupported_media_type")
    refused(ask(steady, "/v1/multimodal/classify", {"title": "refused"}), 400, "invalid_input")
    refused(ask(steady, "/v1/multimodal/classify", {"title": "crash"}), 500, "internal")


@pytest.mark.parametrize("alias", ["previous", "3", "", "Challenger", "champion, challenger"])
def test_other_aliases_do_not_answer(steady, alias):
    response = steady.post("/v1/embeddings", json=LISTING, headers={"Vitrina-Alias": alias})
    assert "allowed: champion, challenger" in refused(response, 400, "invalid_input", "Vitrina-Alias")


def test_a_service_that_follows_none(settings, source):
    plain = ALL.model_copy(update={"models": ("product",), "challengers": False})
    with TestClient(create_app(settings, plain, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert "`challengers` is false" in refused(ask(client, "/v1/embeddings", LISTING), 409, "no_challenger")
        assert (challengers(client), list(source.predictors)) == ({}, [1])


def test_only_models_that_may_be_compared_are_loaded_twice(client, source):
    assert (list(source.fewshots), sorted(source.qualities)) == ([1], [1, 2])
