"""A gateway before two services of models: it passes their routes on, answers the others, and says what they say."""

import base64
import http.client
import json
import pickle
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from homes import settings_of
from ports import free_port
from starlette.testclient import TestClient

from configs.errors import ConfigError
from configs.schema import ServingConfig
from configs.settings import Settings
from registry.errors import RegistryUnreachable
from serving.access.gate import Gate
from serving.access.passed import Behind
from serving.app import create_app
from serving.front import Front
from serving.inner import check_address, secret
from serving.routes import discover
from serving.run import command, with_all_models
from serving.workers import guarded
from tests.serving.conftest import CONFIG, Source, photo, refused, wait_until
from tests.serving.test_attacks import Bomb
from tests.serving.test_leaving import answered, begun, listening

TOKEN = "a secret of a gateway, 32 bytes!".replace(" ", "-")
BEARER = {"authorization": f"Bearer {TOKEN}"}
LISTING = {"title": "Nordal Men Blue Shirt"}
ROUTES = {
    "product": ("multimodal/analyze", LISTING),
    "quality": ("quality/assess", LISTING),
    "imagegen": ("generate/image", {"prompt": "a blue shirt", "steps": 10}),
    "describer": ("generate/description", LISTING),
}
INNER = {"words": ("product", "quality", "describer"), "images": ("imagegen",)}


class Shop(NamedTuple):
    """Two services of models, and a gateway's configuration; `sources` are what they answer with."""

    home: Path
    sources: dict[str, Source]
    ports: dict[str, int]
    config: ServingConfig


def upstreams(ports: dict[str, int]) -> dict[str, str]:
    return {model: f"http://127.0.0.1:{ports[name]}" for name, models in INNER.items() for model in models}


@contextmanager
def inner(home: Path, models: tuple[str, ...], source: Source, **changes: Any) -> Iterator[int]:
    config = CONFIG.model_copy(update={"models": models, "request_seconds": 10, **changes})
    with listening(create_app(settings_of(home), config, source, TOKEN)) as port:
        wait_until(lambda: asked(port, "GET", "/readyz")[0] == 200)
        yield port


def asked(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    content = response.read()
    connection.close()
    kind = response.getheader("content-type", "")
    return response.status, json.loads(content) if "json" in kind else content, dict(response.getheaders())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home: Path = tmp_path_factory.mktemp("shop")
    sources = {name: Source(challengers={"product": 2}) for name in INNER}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(inner(home, models, sources[name], challengers=name == "words"))
            for name, models in INNER.items()
        }
        yield Shop(home, sources, ports, CONFIG.model_copy(update={"models": (), "upstreams": upstreams(ports)}))


@contextmanager
def client_of(home: Path, config: ServingConfig, token: str | None = TOKEN, source: Source | None = None) -> Iterator[TestClient]:
    app = create_app(settings_of(home), config, source or Nothing(), token=token)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


class Nothing(Source):
    """A registry that nobody may ask for weights."""

    def load(self, model: str, version: int) -> Any:
        raise AssertionError(f"{model} was loaded")


@pytest.fixture(scope="module")
def gateway(shop: Shop) -> Iterator[TestClient]:
    with client_of(shop.home, shop.config) as client:
        yield client


@pytest.mark.parametrize("model", ROUTES)
def test_each_models_routes_are_answered_by_its_service(gateway: TestClient, shop: Shop, model: str) -> None:
    path, body = ROUTES[model]
    direct = asked(
        shop.ports["images" if model == "imagegen" else "words"],
        "POST",
        f"/v1/{path}",
        json.dumps(body).encode(),
        BEARER | {"content-type": "application/json"},
    )
    answer = gateway.post(f"/v1/{path}", json=body)
    assert answer.status_code == direct[0] == 200, answer.text
    assert answer.json()["model"] == direct[1]["model"] == {"name": model, "version": 1}
    assert set(answer.json()) == set(direct[1])


def test_a_challenger_is_asked_for_where_it_is_held(gateway: TestClient) -> None:
    ask = {"Vitrina-Alias": "challenger"}
    wait_until(lambda: gateway.get("/v1/models").json()["models"][0]["challenger"] == 2)
    answer = gateway.post("/v1/multimodal/analyze", json=LISTING, headers=ask)
    assert (answer.status_code, answer.json()["model"]) == (200, {"name": "product", "version": 2})
    assert gateway.post("/v1/multimodal/analyze", json=LISTING).json()["model"]["version"] == 1
    refused(gateway.post("/v1/quality/assess", json=LISTING, headers=ask), 409, "no_challenger")
    refused(gateway.post("/v1/generate/image", json={"prompt": "a blue shirt"}, headers=ask), 409, "no_challenger")
    refused(gateway.get("/v1/models", headers=ask), 400, "invalid_input", "Vitrina-Alias")


def test_forms_and_photos_pass(gateway: TestClient, shop: Shop) -> None:
    told = shop.sources["words"].predictors[1].asked
    told.clear()
    assert gateway.post("/v1/multimodal/analyze", files={"image": ("a.jpg", photo())}, data=LISTING).status_code == 200
    assert gateway.post("/v1/embeddings", json={"image": base64.b64encode(photo()).decode()}).status_code == 200
    assert [listing.image is not None for listing in told] == [True, True]
    assert told[0].title == LISTING["title"]


def test_errors_pass_as_the_service_said_them(gateway: TestClient) -> None:
    refused(gateway.post("/v1/price/predict", json={"price": -1}), 400, "invalid_input", "price")
    refused(gateway.post("/v1/multimodal/analyze", json={"title": "refused"}), 400, "invalid_input")
    refused(gateway.post("/v1/multimodal/analyze", json={"title": "crash"}), 500, "internal")
    refused(
        gateway.post("/v1/multimodal/analyze", content=b"x", headers={"content-type": "text/plain"}),
        415,
        "unsupported_media_type",
    )


def test_what_belongs_to_no_model_is_answered_here(gateway: TestClient) -> None:
    assert gateway.get("/livez").json() == {"status": "alive"}
    paths = gateway.get("/openapi.json").json()["paths"]
    assert {f"/v1/{path}" for path, _ in ROUTES.values()} | {"/v1/models", "/v1/feedback"} <= set(paths)
    refused(gateway.get("/v1/multimodal/analyze"), 405, "method_not_allowed")
    refused(gateway.get("/v1/nothing"), 404, "not_found")
    said = 'vitrina_requests_total{endpoint="/v1/multimodal/analyze",status="200"}'
    assert gateway.post("/v1/multimodal/analyze", json=LISTING).status_code == 200
    assert said in gateway.get("/metrics").text


def test_versions_of_a_model_are_looked_up_by_its_service(shop: Shop) -> None:
    """The network lets a gateway reach no registry: whoever does may promote (deploy/README.md)."""
    out_of_reach = Source(error=RegistryUnreachable("MLflow does not answer"))
    with client_of(shop.home, shop.config, source=out_of_reach) as gateway:
        for model in ("product", "imagegen"):
            answer = gateway.get(f"/v1/models/{model}/versions")
            assert (answer.status_code, answer.json()) == (200, {"model": model, "versions": []})
            assert gateway.get(f"/v1/models/{model}/history").json() == {"model": model, "moves": []}
        refused(gateway.get("/v1/models/product/versions?limit=0"), 400, "invalid_input", "limit")
        refused(gateway.get("/v1/models/nothing/versions"), 404, "not_found", "model")
        said = 'vitrina_requests_total{endpoint="/v1/models/{model}/versions",status="200"}'
        assert said in gateway.get("/metrics").text


def test_feedback_here_is_about_predictions_of_the_services(gateway: TestClient) -> None:
    prediction = gateway.post("/v1/multimodal/analyze", json=LISTING).json()["prediction_id"]
    answer = gateway.post("/v1/feedback", json={"prediction_id": prediction, "labels": {"article_type": "Shirts"}})
    assert (answer.status_code, answer.json()) == (201, {"prediction_id": prediction})


def test_states_are_those_of_the_services(gateway: TestClient) -> None:
    ready = gateway.get("/readyz")
    assert ready.status_code == 200, ready.text
    states = {state["name"]: state for state in gateway.get("/v1/models").json()["models"]}
    assert list(states) == ["product", "quality", "describer", "imagegen"]
    assert {state["version"] for state in states.values()} == {1}
    assert states["quality"]["rests_on"] == {"name": "product", "version": 7}
    assert not any(state["stale"] for state in states.values())


@pytest.mark.slow
def test_a_service_that_is_away_costs_its_own_models_alone(shop: Shop) -> None:
    source = Source()
    with ExitStack() as stack:
        words = stack.enter_context(inner(shop.home, INNER["words"], source))
        ports = {"words": words, "images": free_port()}
        gateway = stack.enter_context(
            client_of(shop.home, CONFIG.model_copy(update={"models": (), "upstreams": upstreams(ports)}))
        )
        path, body = ROUTES["imagegen"]
        away = gateway.post(f"/v1/{path}", json=body)
        assert refused(away, 503, "upstream_away") == "the service of imagegen does not answer; try again"
        assert away.headers["Retry-After"] == "5"
        assert gateway.post("/v1/multimodal/analyze", json=LISTING).status_code == 200
        ready = gateway.get("/readyz")
        assert ready.status_code == 503
        drawer = next(state for state in ready.json()["models"] if state["name"] == "imagegen")
        assert (drawer["version"], drawer["stale"]) == (None, True)
        assert f"http://127.0.0.1:{ports['images']} does not answer" in drawer["last_error"]
        said = 'vitrina_model_stale{model="imagegen"} 1.0'
        wait_until(lambda: said in gateway.get("/metrics").text)  # the module's gateway counts in the same process
        images = CONFIG.model_copy(update={"models": INNER["images"], "request_seconds": 10})
        stack.enter_context(listening_at(ports["images"], create_app(settings_of(shop.home), images, Source(), TOKEN)))
        wait_until(lambda: gateway.get("/readyz").status_code == 200)
        assert gateway.post(f"/v1/{path}", json=body).status_code == 200


@contextmanager
def listening_at(port: int, app: Any) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="on", log_level="warning", proxy_headers=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.slow
def test_a_moved_champion_shows_at_the_gateway(shop: Shop) -> None:
    source = Source()
    with inner(shop.home, ("product",), source) as port:
        config = CONFIG.model_copy(update={"models": (), "upstreams": {"product": f"http://127.0.0.1:{port}"}})
        with client_of(shop.home, config) as gateway:
            source.at = 2
            wait_until(lambda: gateway.get("/v1/models").json()["models"][0]["version"] == 2)
            assert gateway.post("/v1/multimodal/analyze", json=LISTING).json()["model"]["version"] == 2
            assert gateway.post("/v1/quality/assess", json=LISTING).json()["model"]["name"] == "product"  # it stands in


@pytest.mark.slow
def test_a_model_that_nobody_waits_for_does_not_hold_the_gateway_up(shop: Shop) -> None:
    with inner(shop.home, ("product", "quality"), Unpromoted(), unpromoted=("quality",)) as port:
        url = f"http://127.0.0.1:{port}"
        config = CONFIG.model_copy(update={"models": (), "upstreams": {"product": url, "quality": url}})
        with client_of(shop.home, config) as gateway:
            wait_until(lambda: gateway.get("/readyz").status_code == 200)
            assert gateway.post("/v1/quality/assess", json=LISTING).json()["model"]["name"] == "product"


class Unpromoted(Source):
    """Of quality there is no champion."""

    def champion(self, model: str) -> int:
        if model == "quality":
            raise ConfigError("model 'quality' has no champion")
        return super().champion(model)


def test_a_model_may_be_loaded_here_while_others_are_elsewhere(shop: Shop) -> None:
    config = shop.config.model_copy(update={"models": ("recommender",), "poll_seconds": 0.05})
    with client_of(shop.home, config, source=Source()) as gateway:
        wait_until(lambda: gateway.get("/readyz").status_code == 200)
        assert gateway.post("/v1/recommendations", json={"num_recs": 3}).json()["model"]["name"] == "recommender"
        assert gateway.post("/v1/multimodal/analyze", json=LISTING).json()["model"]["name"] == "product"


# Who is believed


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"x-vitrina-front": ""},
        {"x-vitrina-front": TOKEN[:-1]},
        {"x-vitrina-key": "admin"},
        {"x-forwarded-for": "127.0.0.1"},
        {"cookie": f"authorization=Bearer {TOKEN}"},
    ],
)
def test_a_service_behind_a_gateway_answers_nobody_else(shop: Shop, headers: dict[str, str]) -> None:
    body = json.dumps(LISTING).encode()
    for method, path in (("POST", "/v1/multimodal/analyze"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/")):
        status, said, answer = asked(shop.ports["words"], method, path, body, {"content-type": "application/json", **headers})
        assert (status, said["error"]["code"], answer["www-authenticate"]) == (401, "unauthorized", "Bearer")
        assert TOKEN not in json.dumps(said)
    assert [asked(shop.ports["words"], "GET", path, headers=headers)[0] for path in ("/livez", "/readyz", "/healthz")] == [
        200
    ] * 3


@pytest.mark.slow
def test_a_gateway_without_the_services_secret_says_so(shop: Shop) -> None:
    for token in (None, "another secret".ljust(32, "-").replace(" ", "-")):
        with client_of(shop.home, shop.config, token) as gateway:
            why = refused(gateway.post("/v1/multimodal/analyze", json=LISTING), 503, "upstream_refused")
            assert why == "the service of product does not take this gateway for its own"
            state = gateway.get("/readyz").json()["models"][0]
            assert state["last_error"].endswith("does not take this gateway for its own: VITRINA_INNER_TOKEN differs")


class Heard:
    """An ASGI application that remembers headers."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] not in ("/readyz", "/v1/models"):
            self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b"{}"})


OWN = ("/livez", "/healthz", "/readyz", "/v1/models", "/v1/feedback", "/v1/jobs")


@pytest.mark.slow
def test_every_route_of_the_document_is_answered_by_its_models_service_or_here(tmp_path: Path) -> None:
    with listening(Heard()) as port:
        config = CONFIG.model_copy(update={"models": (), "upstreams": dict.fromkeys(discover(), f"http://127.0.0.1:{port}")})
        with client_of(tmp_path, config) as gateway:
            paths = gateway.get("/openapi.json").json()["paths"]
            here = set()
            for path, operations in paths.items():
                for method in operations:
                    answer = gateway.request(method, re.sub(r"\{[a-z_]+\}", "a", path), json={})
                    if answer.json() != {}:  # what the service says to everything
                        here.add(path)
    assert here == {path for path in paths if path.startswith(OWN)}
    assert len(here) < len(paths) / 2


@pytest.mark.slow
@pytest.mark.parametrize("token", [TOKEN, None])
def test_a_clients_credentials_stay_at_the_gateway(tmp_path: Path, token: str | None) -> None:
    heard = Heard()
    theirs = {
        "authorization": "Bearer theirs",
        "x-vitrina-front": "theirs",
        "x-api-key": "theirs",
        "x-vitrina-key": "admin",
        "x-own": "1",
    }
    with listening(heard) as port:
        config = CONFIG.model_copy(update={"models": (), "upstreams": {"product": f"http://127.0.0.1:{port}"}})
        with client_of(tmp_path, config, token) as gateway:
            assert gateway.post("/v1/multimodal/analyze", json=LISTING, headers=theirs).status_code == 200
            assert gateway.get("/readyz").json()["models"][0]["last_error"] == f"http://127.0.0.1:{port} is no service of models"
    [seen] = heard.headers
    assert seen["x-own"] == "1"
    assert "theirs" not in json.dumps(seen)
    assert not {"authorization", "x-api-key", "x-vitrina-key"} & set(seen)
    assert seen.get("x-vitrina-front") == token


def test_whose_key_it_was_is_told_to_services_that_know_the_gateway(tmp_path: Path) -> None:
    heard = Heard()
    with listening(heard) as port:
        config = CONFIG.model_copy(update={"models": (), "upstreams": {"product": f"http://127.0.0.1:{port}"}})
        app = create_app(settings_of(tmp_path), config, Nothing(), token=TOKEN)

        async def keyed(scope: Any, receive: Any, send: Any) -> None:
            await app(
                scope | {"state": {**scope.get("state", {}), "key": "key-7"}} if scope["type"] == "http" else scope, receive, send
            )

        with TestClient(keyed) as client:
            assert client.post("/v1/multimodal/analyze", json=LISTING, headers={"x-vitrina-key": "admin"}).status_code == 200
    assert heard.headers[0]["x-vitrina-key"] == "key-7"


def test_several_workers_of_a_service_stand_behind_one_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VITRINA_HOME", str(tmp_path))
    front = Front(lambda: "http://127.0.0.1:1", max_body_bytes=1, body_seconds=1, answer_seconds=1)
    gateway = ServingConfig(upstreams={"product": "http://127.0.0.1:1"})
    assert isinstance(guarded(front, ServingConfig()), Gate)
    monkeypatch.setenv("VITRINA_INNER_TOKEN", TOKEN)
    assert isinstance(guarded(front, ServingConfig()), Behind)
    assert isinstance(guarded(front, gateway), Gate)


# Attacks


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.bentoml+pickle",
        "application/vnd.bentoml.stream",
        "application/octet-stream",
        "application/x-python-pickle",
        "application/json",
    ],
)
def test_no_pickle_is_read_between_services(gateway: TestClient, shop: Shop, tmp_path: Path, kind: str) -> None:
    """The protocol of BentoML's own services and runners, at our routes and at those where it would live."""
    target = tmp_path / "owned"
    body = pickle.dumps(Bomb(target))
    bento = {
        "content-type": kind,
        "payload-container": "DefaultContainer",
        "payload-meta": "{}",
        "batch-size": "1",
        "args-number": "1",
    }
    for path in (
        "/v1/multimodal/analyze",
        "/v1/generate/image",
        "/",
        "/predict",
        "/__call__",
        "/v1/embeddings/batch",
        "/schema.json",
    ):
        assert gateway.post(path, content=body, headers=bento).status_code in (400, 404, 405, 415), path
        for port in shop.ports.values():
            assert asked(port, "POST", path, body, bento | BEARER)[0] in (400, 404, 405, 415), path
    assert not target.exists()


def test_the_limits_of_bodies_hold_at_the_gateway(gateway: TestClient, shop: Shop) -> None:
    shop.sources["words"].predictors[1].asked.clear()
    refused(gateway.post("/v1/multimodal/analyze", content=b"x" * (CONFIG.max_body_bytes + 1)), 413, "too_large")
    refused(
        gateway.post("/v1/multimodal/analyze", content=b"x", headers={"content-encoding": "gzip"}), 415, "unsupported_media_type"
    )
    assert shop.sources["words"].predictors[1].asked == []


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:4001",
        "ftp://a",
        "http://",
        "http://a/b",
        "http://user:pass@a",
        "http://a?x=1",
        "http://a b",
        "file:///etc/passwd",
        "http://a:123456",
    ],
)
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"upstreams\.product: .* is no address of a service"):
        ServingConfig(upstreams={"product": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:4001", "https://models.shop.svc:8443", "http://[::1]:3000", "http://product"])
def test_addresses_of_services(url: str) -> None:
    assert ServingConfig(upstreams={"product": url}).upstreams == {"product": url}


def test_a_model_that_is_none_cannot_be_elsewhere(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"upstreams: 'toaster' cannot be served; allowed: describer, fewshot, imagegen"):
        create_app(settings, ServingConfig(models=(), upstreams={"toaster": "http://a"}), Source())


# Where it listens, and with what


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "2606:4700::1111", "224.0.0.1"])
def test_a_service_behind_a_gateway_does_not_listen_to_everybody(host: str) -> None:
    with pytest.raises(ConfigError, match="listens on this machine or on one private address"):
        check_address(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "172.20.0.9", "192.168.7.7", "100.64.0.3", "fd00::7"])
def test_a_service_behind_a_gateway_listens_on_private_networks(host: str) -> None:
    check_address(host)


@pytest.mark.parametrize("word", ["short", "x" * 31, "x" * 1025, "ü" * 40, "a b" * 20, "a" * 40 + "\n"])
def test_a_secret_is_long_and_fits_a_header(word: str) -> None:
    with pytest.raises(ConfigError, match="VITRINA_INNER_TOKEN must be 32 to 1024 visible ASCII characters") as said:
        secret({"VITRINA_INNER_TOKEN": word})
    assert word not in str(said.value)


def test_without_a_secret_there_is_none() -> None:
    assert secret({}) is secret({"VITRINA_INNER_TOKEN": ""}) is None
    assert secret({"VITRINA_INNER_TOKEN": TOKEN}) == TOKEN


def test_the_command_refuses_an_inner_service_for_everybody(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRINA_INNER_TOKEN", TOKEN)
    everywhere = ServingConfig(host="0.0.0.0", port=free_port())
    with pytest.raises(ConfigError, match=r"host 0\.0\.0\.0: a service behind a gateway"):
        command(settings, everywhere)
    gateway = everywhere.model_copy(update={"upstreams": {"product": "http://10.0.0.7:3000"}})
    assert "serve" in command(settings, gateway)[0]


def test_a_gateway_loads_what_it_names_and_nothing_else(settings: Settings) -> None:
    upstream = {"product": "http://127.0.0.1:4001"}
    assert with_all_models(settings, ServingConfig(upstreams=upstream)).models == ()
    assert with_all_models(settings, ServingConfig(upstreams=upstream, models=("recommender",))).models == ("recommender",)


# Leaving


@pytest.mark.slow
def test_a_client_that_leaves_the_gateway_ends_its_drawing_there(shop: Shop) -> None:
    drawer = shop.sources["images"].imagers[1]
    drawer.started.clear()
    drawer.ended.clear()
    drawer.seconds = 0.05
    try:
        with listening(create_app(settings_of(shop.home), shop.config, Nothing(), token=TOKEN)) as port:
            leaver = begun(port, "leaver", steps=100)
            wait_until(drawer.started.is_set)
            leaver.close()
            wait_until(lambda: drawer.ended)
            assert drawer.ended[0] < 80
            assert answered(begun(port, "stayer", steps=10)) == 200
    finally:
        drawer.seconds = 0.0
