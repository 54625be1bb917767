"""/v1/catalog/products through the whole application: a change is in the next answer of every worker, and of every model."""

import base64
import itertools
import json
import threading

import pytest
import sqlalchemy
from starlette.testclient import TestClient

from configs.errors import VitrinaError
from configs.schema import ResultsConfig, SearchConfig
from database import jobs
from database.catalog import Placing, changes_since, photos
from database.jobs import Item
from models.recommender.answers import Query
from serving.app import create_app
from serving.errors import ApiError, detail
from serving.results import Results
from serving.routes import Excludes, discover, kinds
from serving.slots import Loaded
from tests.serving.conftest import CONFIG, Predictor, Source, photo, placed, refused, wait_until

URL = "/v1/catalog/products"
JEANS = {
    "title": "green velvet jeans",
    "brand": "Delta",
    "price": 33.5,
    "article_type": "Jeans",
    "attributes": {"Fabric": "Velvet"},
}
IMAGE = base64.b64encode(photo()).decode()


@pytest.fixture(scope="module")
def config():
    return CONFIG.model_copy(update={"models": ("product", "recommender")})


def found(client, **body):
    response = client.post("/v1/search/similar", json=body)
    assert response.status_code == 200, response.text
    return [item["product_id"] for item in response.json()["items"]]


def products(client):
    return client.post("/v1/search/similar", json={"text": "a"}).json()["products"]


def recommended(client, **body):
    return [item["item_id"] for item in client.post("/v1/recommendations", json=body).json()["items"]]


def hidden(source):
    return source.recommenders[1].asked[-1].exclude


# Put


def test_a_new_product_is_found_by_the_next_search(client):
    assert products(client) == 6
    response = client.put(f"{URL}/99", json=JEANS)
    assert response.status_code == 201, response.text
    body = response.json()
    assert body.pop("updated_at")
    assert body == {
        "product_id": 99,
        "hidden": False,
        "put": True,
        "title": "green velvet jeans",
        "description": None,
        "brand": "Delta",
        "price": 33.5,
        "categories": {"article_type": "Jeans"},
        "attributes": {"Fabric": "Velvet"},
        "has_photo": False,
    }
    assert (products(client), found(client, text="green velvet jeans", limit=1)) == (7, [99])
    assert found(client, text="jeans", filters={"brands": ["Delta"], "attributes": {"Fabric": "Velvet"}, "price_max": 34}) == [99]
    assert set(found(client, text="jeans", filters={"categories": ["Jeans"]})) == {2, 3, 99}
    assert 99 not in found(client, product_id=99)
    assert client.get(f"{URL}/99").json()["title"] == "green velvet jeans"


def test_what_is_put_replaces_what_the_version_knows(client):
    response = client.put(f"{URL}/2", json={"title": "pink silk scarf"})
    assert (response.status_code, products(client)) == (200, 6)
    assert found(client, text="pink silk scarf", limit=1) == [2]
    assert 2 not in found(client, text="denim", filters={"categories": ["Jeans"]})
    assert client.post("/v1/search/similar", json={"text": "pink silk scarf", "limit": 1}).json()["items"][0]["brand"] is None
    assert client.put(f"{URL}/2", json=JEANS).status_code == 200
    assert found(client, text="green velvet jeans", limit=1) == [2]


def test_a_photo_comes_as_json_and_in_a_form(client, settings):
    assert client.put(f"{URL}/97", json={"image": IMAGE}).status_code == 201
    form = {"title": "yellow hat", "hidden": "true", "attributes": '{"Fabric": "Straw"}'}
    response = client.put(f"{URL}/98", data=form, files={"image": ("a.jpg", photo(), "image/jpeg")})
    assert (response.status_code, response.json()["hidden"]) == (201, True)
    assert photos(settings.database_url, ["97", "98"]) == {"97": photo(), "98": photo()}


def test_several_are_put_or_none(client):
    items = [{"product_id": 91, "title": "one hat"}, {"product_id": "2", "title": "two hats"}, {"product_id": 5, "hidden": True}]
    response = client.post(URL, json={"items": items})
    assert response.status_code == 200, response.text
    put = [(91, False, True), ("2", False, False), (5, True, False)]
    assert response.json() == {
        "model": {"name": "product", "version": 1},
        "items": [{"product_id": name, "hidden": hidden, "new": new} for name, hidden, new in put],
    }
    assert found(client, text="one hat", limit=1) == [91]
    assert 5 not in found(client, text="steel watch")
    before = products(client)
    for bad, status, code, field in [
        ({"product_id": 94, "title": "refused"}, 400, "invalid_input", "items.1"),
        ({"product_id": 94, "price": 5}, 400, "invalid_input", "items.1"),
        ({"product_id": 94}, 400, "invalid_input", "items.1"),
        ({"product_id": 94, "image": "eA=="}, 400, "invalid_input", "items.1.image"),
        ({"product_id": 94, "hidden": True}, 404, "not_found", "product_id"),
        ({"title": "x"}, 400, "invalid_input", "items.1.product_id"),
    ]:
        message = refused(client.post(URL, json={"items": [{"product_id": 93, "title": "hat"}, bad]}), status, code, field)
        assert "items.1" in message or "94" in message
    mixed = [{"product_id": 5, "hidden": True}, {"product_id": 93, "title": "hat"}, {"product_id": 94, "title": "refused"}]
    refused(client.post(URL, json={"items": mixed}), 400, "invalid_input", "items.2")
    assert products(client) == before
    many = [{"product_id": i, "title": "hat"} for i in range(1001)]
    assert "at most 1000" in refused(client.post(URL, json={"items": many}), 400, "invalid_input", "items")


def test_no_more_products_than_allowed(settings, config, source):
    few = config.model_copy(update={"search": SearchConfig(max_products=1)})
    with TestClient(create_app(settings, few, source)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.put(f"{URL}/a", json=JEANS).status_code == 201
        assert client.put(f"{URL}/a", json=JEANS).status_code == 200
        assert "clients may put 1 products" in refused(client.put(f"{URL}/b", json=JEANS), 429, "catalogue_full")
        assert client.delete(f"{URL}/a").status_code == 204
        assert client.put(f"{URL}/b", json=JEANS).status_code == 201


# Hide and delete


@pytest.mark.parametrize("way", ["hidden", "deleted"])
@pytest.mark.parametrize("name", [1, 7])
def test_what_is_hidden_or_deleted_is_gone_from_search_and_recommendations(client, source, name, way):
    """1 is a product of the search, 7 one of the recommender alone."""
    recommended(client)
    assert hidden(source) == frozenset()
    assert 1 in found(client, text="denim")
    if way == "deleted":
        assert client.delete(f"{URL}/{name}").status_code == 204
    else:
        assert client.put(f"{URL}/{name}", json=JEANS | {"hidden": True}).status_code == 200
    recommended(client)
    assert hidden(source) == {str(name)}
    assert (1 in found(client, text="denim")) is (name != 1)
    refused(client.post("/v1/search/similar", json={"product_id": name}), 404, "not_found", "product_id")


def test_hidden_alone_keeps_the_rest_and_shows_it_again(client, source):
    client.put(f"{URL}/99", json=JEANS | {"image": IMAGE})
    body = client.put(f"{URL}/99", json={"hidden": True}).json()
    assert (body["hidden"], body["title"]) == (True, "green velvet jeans")
    assert 99 not in found(client, text="green velvet jeans")
    assert client.put(f"{URL}/99", json={"hidden": False}).json()["hidden"] is False
    assert found(client, text="green velvet jeans", limit=1) == [99]
    body = client.put(f"{URL}/3", json={"hidden": True}).json()
    assert (body["hidden"], body["put"], body["title"], body["brand"]) == (True, False, "red denim jeans", "Bravo")
    assert 3 not in found(client, text="red denim jeans")
    assert client.put(f"{URL}/3", json={"hidden": False}).status_code == 200
    assert found(client, text="red denim jeans", limit=1) == [3]
    recommended(client)
    assert hidden(source) == frozenset()


def test_put_hidden_is_found_only_when_it_is_shown(client):
    assert client.put(f"{URL}/99", json=JEANS | {"hidden": True}).status_code == 201
    assert (products(client), 99 in found(client, text="green velvet jeans")) == (6, False)
    assert client.put(f"{URL}/99", json=JEANS).status_code == 200
    assert found(client, text="green velvet jeans", limit=1) == [99]


def test_deleted_twice_is_deleted_and_put_again_is_new(client):
    assert client.delete(f"{URL}/2").status_code == client.delete(f"{URL}/2").status_code == 204
    assert products(client) == 5
    refused(client.get(f"{URL}/2"), 404, "not_found", "product_id")
    refused(client.put(f"{URL}/2", json={"hidden": False}), 404, "not_found", "product_id")
    assert client.put(f"{URL}/2", json=JEANS).status_code == 201
    assert products(client) == 6
    refused(client.delete(f"{URL}/nobody"), 404, "not_found", "product_id")
    refused(client.put(f"{URL}/nobody", json={"hidden": True}), 404, "not_found", "product_id")


def test_a_product_as_the_version_knows_it(client):
    body = client.get(f"{URL}/1").json()
    assert (body["product_id"], body["put"], body["updated_at"], body["description"]) == (1, False, None, None)
    assert (body["title"], body["attributes"]) == ("blue denim jacket", {"Fabric": "Denim", "gender": "Men"})
    refused(client.get(f"{URL}/nobody"), 404, "not_found", "product_id")


# Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a%2Fb", "a/b"),
        ("a/b", "a/b"),
        ("%20x%20", " x "),
        ("caf%C3%A9", "café"),
        ("%F0%9F%91%96", "\U0001f456"),
        ("..%2Fproducts", "../products"),
        ("a%3Fb%23c", "a?b#c"),
        ("007", "007"),
        ("-3", -3),
        ("a" * 200, "a" * 200),
        ("9" * 19, "9" * 19),
    ],
)
def test_ids_of_any_signs(steady, path, name):
    assert steady.put(f"{URL}/{path}", json=JEANS).json()["product_id"] == name
    assert found(steady, text="green velvet jeans", limit=1) == [name]
    assert steady.get(f"{URL}/{path}").status_code == 200
    assert found(steady, product_id=name)
    assert steady.delete(f"{URL}/{path}").status_code == 204


@pytest.mark.parametrize("path", ["%00", "a%09b", "%7F", "a" * 201, ""])
def test_ids_that_are_none(steady, path):
    for response in (steady.put(f"{URL}/{path}", json=JEANS), steady.get(f"{URL}/{path}"), steady.delete(f"{URL}/{path}")):
        refused(response, 400, "invalid_input", "product_id")


def test_an_id_of_two_lines_is_no_path(client):
    refused(client.put(f"{URL}/a%0Ab", json=JEANS), 404, "not_found")


def test_what_cannot_be_put(client):
    for body, field in [
        ({}, None),
        ({"price": 5}, None),
        ({"title": "refused"}, None),
        ({"hidden": 1}, "hidden"),
        ({"title": "x", "product_id": 1}, "product_id"),
        ({"image": "eA=="}, "image"),
        ({"title": "x\u0000"}, "title"),
    ]:
        refused(client.put(f"{URL}/99", json=body), 400, "invalid_input", field)
    refused(client.put(f"{URL}/99", content=b"x", headers={"content-type": "text/plain"}), 415, "unsupported_media_type")
    refused(client.get(f"{URL}/99"), 404, "not_found", "product_id")


# Workers, versions, the database


@pytest.mark.slow
def test_every_worker_sees_a_change_in_its_next_answer(settings, config, source):
    with TestClient(create_app(settings, config, source)) as one, TestClient(create_app(settings, config, source)) as other:
        wait_until(lambda: one.get("/readyz").status_code == other.get("/readyz").status_code == 200)
        assert found(other, text="green velvet jeans", limit=1) != [99]
        one.put(f"{URL}/99", json=JEANS)
        assert found(other, text="green velvet jeans", limit=1) == [99]
        other.delete(f"{URL}/99")
        assert 99 not in found(one, text="green velvet jeans")
        one.delete(f"{URL}/1")
        recommended(other)
        assert hidden(source) == {"1", "99"}


def test_a_new_version_knows_what_was_put_before_it_answers(client, source, settings):
    client.put(f"{URL}/99", json=JEANS)
    client.put(f"{URL}/98", json={"title": "yellow hat", "hidden": True})
    client.put(f"{URL}/97", json={"image": IMAGE})  # the second version places no listing without a title
    client.delete(f"{URL}/1")
    source.at = 2
    wait_until(lambda: client.post("/v1/search/similar", json={"text": "a"}).json()["model"]["version"] == 2)
    assert source.predictors[2].placed.count("green velvet jeans") == 1
    body = client.post("/v1/search/similar", json={"text": "green velvet jeans", "limit": 1}).json()
    assert (body["items"][0]["product_id"], body["items"][0]["score"]) == (99, pytest.approx(1, abs=1e-5))
    assert 1 not in found(client, text="denim")
    by = Placing("product", 2, "product 2 of the first")
    by_id = {p.product_id: p.vector for p in changes_since(settings.database_url, 0, by)[1]}
    assert by_id["99"] == placed("green velvet jeans", 2).astype("<f4").tobytes()
    assert (by_id["98"], by_id["97"]) == (None, None)
    client.put(f"{URL}/98", json={"hidden": False})
    assert found(client, text="yellow hat", limit=1) == [98]


@pytest.mark.slow
def test_version_1_of_a_registry_begun_anew_places_what_was_put_by_itself(client, settings, config):
    client.put(f"{URL}/99", json=JEANS)
    anew = Source(registry="the second", predictors={1: Predictor(2)})
    with TestClient(create_app(settings, config, anew)) as other:
        wait_until(lambda: other.get("/readyz").status_code == 200)
        assert anew.predictors[1].placed.count("green velvet jeans") == 1
        assert found(other, text="green velvet jeans", limit=1) == [99]
    for registry, version in (("first", 1), ("second", 2)):
        by = Placing("product", 1, f"product 1 of the {registry}")
        [(_, vector)] = [(p.product_id, p.vector) for p in changes_since(settings.database_url, 0, by)[1]]
        assert (vector is None) == (registry == "first")
        assert vector is None or vector == placed("green velvet jeans", version).astype("<f4").tobytes()


@pytest.mark.slow
def test_a_photo_of_more_pixels_than_are_allowed_since_keeps_nobody_from_searching(client, settings, config):
    client.put(f"{URL}/99", json=JEANS | {"image": IMAGE})
    anew, stricter = Source(registry="the second"), config.model_copy(update={"max_image_pixels": 100})
    with TestClient(create_app(settings, stricter, anew)) as other:
        wait_until(lambda: other.get("/readyz").status_code == 200)
        assert found(other, text="green velvet jeans", limit=1) == [99]


@pytest.mark.slow
def test_no_product_is_lost_while_versions_change(client, source):
    """Put without a pause while the champion moves: each is found by the search that follows its answer."""
    lost, stop = [], threading.Event()

    def putting():
        for place in itertools.count():
            if stop.is_set():
                return
            client.put(f"{URL}/p{place}", json={"title": f"thing{place} number{place}"})
            if found(client, text=f"thing{place} number{place}", limit=1) != [f"p{place}"]:
                lost.append(place)

    thread = threading.Thread(target=putting)
    thread.start()
    for version in (2, 3, 4):
        source.at = version
        wait_until(lambda: client.get("/readyz").json()["models"][0]["version"] == source.at)
    stop.set()
    thread.join(60)
    assert lost == []


def test_while_the_database_is_away_what_is_known_stays(client, source, monkeypatch):
    client.delete(f"{URL}/1")
    client.put(f"{URL}/99", json=JEANS)
    recommended(client)
    assert 1 not in found(client, text="denim")
    nowhere = sqlalchemy.create_engine("sqlite:////nowhere/vitrina.db")
    with monkeypatch.context() as patch:
        patch.setattr("database.engine._engine", lambda url, pid: nowhere)
        assert 1 not in found(client, text="blue denim")
        assert found(client, text="green velvet jeans", limit=1) == [99]
        recommended(client)
        assert hidden(source) == {"1"}
        for response in (client.put(f"{URL}/2", json=JEANS), client.get(f"{URL}/2"), client.delete(f"{URL}/2")):
            refused(response, 503, "database_unavailable")
    assert client.delete(f"{URL}/2").status_code == 204
    recommended(client)
    assert hidden(source) == {"1", "2"}
    assert 2 not in found(client, text="blue denim")


@pytest.mark.slow
def test_a_catalogue_that_was_never_read_is_not_searched(settings, config, source, monkeypatch):
    nowhere = sqlalchemy.create_engine("sqlite:////nowhere/vitrina.db")
    with monkeypatch.context() as patch:
        patch.setattr("database.engine._engine", lambda url, pid: nowhere)
        with TestClient(create_app(settings, config, source)) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200)
            refused(client.post("/v1/search/similar", json={"text": "a"}), 503, "database_unavailable")
            patch.undo()
            wait_until(lambda: client.post("/v1/search/similar", json={"text": "a"}).status_code == 200)


def test_only_what_answers_with_products_leaves_some_out():
    models = discover()
    assert [name for name, routes in models.items() if isinstance(routes, Excludes)] == ["recommender"]
    assert models["recommender"].without([Query()], frozenset({"5"})) == [Query(exclude=frozenset({"5"}))]


# As a job


@pytest.mark.slow
def test_products_that_are_left_as_a_job_are_put_when_it_is_done(client, settings, monkeypatch):
    monkeypatch.setattr("serving.search.putting._ids", lambda version, digest: frozenset({"1", "2"}))
    items = [
        *({"product_id": f"hat-{place}", "title": f"hat number{place}"} for place in range(70)),
        {"product_id": 1, "hidden": True},
        {"product_id": "nobody", "hidden": True},
        {"product_id": 94, "title": "refused"},
        {"product_id": 95, "price": 5},
        {"product_id": 96},
    ]
    response = client.post(URL, json={"items": items})
    assert (response.status_code, response.json()["kind"], response.json()["items"]) == (202, "catalog/products", 75)
    assert found(client, text="hat number7", limit=1) != ["hat-7"]
    work(settings.database_url)
    lines = client.get(f"{response.headers['Location']}/result").text.splitlines()
    outcomes = [json.loads(line) for line in lines]
    assert [line["state"] for line in outcomes] == ["done"] * 71 + ["failed"] * 4
    assert outcomes[7]["result"] == {"product_id": "hat-7", "hidden": False, "new": True}
    assert [line["error"]["code"] for line in outcomes[71:]] == ["not_found", "invalid_input", "invalid_input", "invalid_input"]
    assert found(client, text="hat number7", limit=1) == ["hat-7"]
    assert 1 not in found(client, text="denim")


def work(url):
    """Do every item as a worker does: a batch at once, and where that fails each of it alone."""
    for job in jobs.newest(url):
        kind, loaded = kinds(url, Results(url, ResultsConfig()))[job.kind], Loaded(1, Predictor(1))
        jobs.begin(url, job.id, kind.model, loaded.version)
        waiting, read = jobs.items(url, job.id, states=("waiting",)), kind.reader(CONFIG)
        for start in range(0, len(waiting), kind.batch):
            batch = waiting[start : start + kind.batch]
            try:
                outcomes = kind.answer(loaded, CONFIG, [read(item.sent) for item in batch])
            except VitrinaError:
                outcomes = [kind.answer(loaded, CONFIG, [read(item.sent)])[0] for item in batch]
            for item, outcome in zip(batch, outcomes, strict=True):
                said = {"error": detail(outcome)} if isinstance(outcome, ApiError) else {"result": outcome.body.model_dump()}
                state = "failed" if "error" in said else "done"
                jobs.keep(url, job.id, [Item(place=item.place, sent=item.sent, state=state, attempts=1, **said)])
        jobs.finish(url, job.id)
