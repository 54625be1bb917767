"""Every answer, error and log line names its request."""

import asyncio
import contextvars
import io
import json
import logging
import re
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from database.keys import create
from serving.about import About, begin, request_id
from serving.app import create_app
from serving.limits import Deadline
from serving.logs import configure
from serving.observed import requests
from tests.serving.conftest import CONFIG, Source, wait_until

LISTING = {"title": "Nordal Men Blue Shirt"}
ALLOWED = ["order-17", "0af7651916cd43dd8448eb211c80319c", "a" * 128, "Root=1-67891233-abcdef012345678912345678", "a:b/c+d_e.f@g"]
REFUSED = ["", " ", "a b", "-a", "a" * 129, "a\tb", 'a"b', "a,b", "<script>", "{}", "a\x7f", "käse".encode().decode("latin-1")]


@pytest.mark.parametrize("sent", ALLOWED)
def test_a_clients_own_id_comes_back(steady, sent):
    answer = steady.post("/v1/multimodal/classify", json=LISTING, headers={"X-Request-ID": sent})
    assert (answer.status_code, answer.headers.get_list("x-request-id")) == (200, [sent])


@pytest.mark.parametrize("sent", REFUSED)
def test_what_is_no_plain_token_is_replaced(steady, sent):
    [made] = steady.get("/v1/models", headers=[(b"x-request-id", sent.encode("latin-1"))]).headers.get_list("x-request-id")
    assert re.fullmatch("[0-9a-f]{32}", made)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 200),
        ("GET", "/v1/nowhere", 404),
        ("GET", "/v1/multimodal/analyze", 405),
        ("POST", "/v1/multimodal/analyze", 415),
        ("POST", "/v1/feedback", 415),
    ],
)
def test_errors_name_their_request_too(steady, method, path, status):
    first, second = (steady.request(method, path) for _ in range(2))
    assert first.status_code == second.status_code == status
    assert len({first.headers["x-request-id"], second.headers["x-request-id"]}) == 2


def test_a_fault_of_ours_names_its_request(steady):
    answer = steady.post("/v1/multimodal/analyze", json={"title": "crash"}, headers={"X-Request-ID": "fault-1"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "fault-1")


def test_outside_of_a_request_there_is_no_id():
    assert request_id() is None


def test_an_id_is_known_until_its_request_is_answered():
    found = []

    def inside():
        about = begin(b"mine")
        found.append((about, request_id()))

    contextvars.copy_context().run(inside)
    assert found == [(About("mine"), "mine")]
    assert request_id() is None


@contextmanager
def written(form, monkeypatch):
    """What a process would write to standard error."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level, requests.level, logging.getLogger("serving").level
    monkeypatch.setattr("sys.stderr", stream)
    configure(form)
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        requests.setLevel(before[2])
        logging.getLogger("serving").setLevel(before[3])


def test_json_logs_hold_a_line_for_each_request(client, monkeypatch):
    with written("json", monkeypatch) as lines:
        client.post("/v1/multimodal/classify", json=LISTING, headers={"X-Request-ID": "one"})
        client.get("/v1/feedback/secret", headers={"X-Request-ID": "two", "Authorization": "Bearer secret"})
        client.get("/livez")
        client.get("/metrics")
        first, second = (json.loads(line) for line in lines())
    assert first.pop("time") <= second.pop("time")
    assert 0 < first.pop("ms") < 60_000
    assert 0 < second.pop("ms") < 60_000
    said = {"level": "INFO", "logger": "vitrina.requests", "message": "request", "client": "testclient"}
    assert first == said | {
        "request_id": "one",
        "method": "POST",
        "route": "/v1/multimodal/classify",
        "status": 200,
        "model": "product",
        "version": "1",
    }
    assert second == said | {"request_id": "two", "method": "GET", "route": "unknown", "status": 404, "error": "not_found"}
    assert "secret" not in "".join(lines())


def test_the_key_of_a_request_is_named_and_never_told(client, settings, monkeypatch):
    key, token = create(settings.database_url, "shop", ("read",), who="ada")
    wait_until(lambda: client.get("/v1/models").status_code == 401)
    with written("json", monkeypatch) as lines:
        client.get("/v1/models", headers={"X-API-Key": token})
        client.post("/v1/feedback", headers={"X-API-Key": token})
        client.get(f"/v1/models?key={token}")
        client.get(f"/v1/{token}")
        found = [json.loads(line) for line in lines()]
    assert [(line.get("key"), line.get("error"), line["status"]) for line in found] == [
        (key.id, None, 200),
        (key.id, "forbidden", 403),
        (None, "unauthorized", 401),
        (None, "unauthorized", 401),
    ]
    assert token[16:] not in "".join(lines())


def test_other_lines_of_a_request_name_it_in_both_forms(client, monkeypatch):
    with written("json", monkeypatch) as lines:
        client.post("/v1/multimodal/classify", json={"title": "crash"}, headers={"X-Request-ID": "fault-2"})
        fault = next(line for line in map(json.loads, lines()) if line["logger"] == "serving.errors")
    assert (fault["level"], fault["request_id"]) == ("ERROR", "fault-2")
    assert "RuntimeError: a bug" in fault["exc_info"]
    with written("text", monkeypatch) as lines:
        client.post("/v1/multimodal/classify", json={"title": "crash"}, headers={"X-Request-ID": "fault-3"})
        client.post("/v1/multimodal/classify", json=LISTING, headers={"X-Request-ID": "fine"})
        text = lines()
    assert "/v1/multimodal/classify failed [request fault-3]" in text[0]
    assert not any("fine" in line for line in text)


def test_a_line_cannot_be_forged(client, monkeypatch):
    with written("json", monkeypatch) as lines:
        client.get("/v1/a%0A%7B%22status%22:200%7D")
        assert len(lines()) == 1


@pytest.mark.slow
def test_requests_are_counted_by_the_version_that_answered(settings):
    source = Source()
    with TestClient(create_app(settings, CONFIG, source), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        client.post("/v1/price/predict", json=LISTING)
        source.at = 7
        wait_until(lambda: client.get("/v1/models").json()["models"][0]["version"] == 7)
        client.post("/v1/price/predict", json=LISTING)
        client.post("/v1/price/predict", json={"title": "crash"})
        text = client.get("/metrics").text
    for status, version in (("200", "1"), ("200", "7"), ("500", "7")):
        labels = f'endpoint="/v1/price/predict",model="product",status="{status}",version="{version}"'
        assert f"vitrina_answers_total{{{labels}}} " in text
    assert 'vitrina_request_seconds_count{endpoint="/v1/price/predict",model="product",version="7"}' in text


@pytest.mark.slow
@pytest.mark.parametrize("prefer", ["wait=1", "wait = 1", 'handling=strict, wait="1"', "wait=1; foo"])
def test_a_client_that_waits_a_second_gets_504_after_it(settings, prefer):
    source, config = Source(), CONFIG.model_copy(update={"request_seconds": 30.0})
    with TestClient(create_app(settings, config, source), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        source.predictors[1].seconds = 2.0
        answer = client.post("/v1/multimodal/classify", json=LISTING, headers={"Prefer": prefer})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


@pytest.mark.slow
def test_an_answer_that_begins_in_time_may_go_on():
    async def streamed(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await asyncio.sleep(0.5)
            await send({"type": "http.response.body", "body": b".", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    answer = TestClient(Deadline(streamed)).get("/", headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.text) == (200, "...")


@pytest.mark.slow
@pytest.mark.parametrize("prefer", ["wait=x", "respond-async, wait=1", "waiting=1", "return=minimal", "wait=-1"])
def test_other_preferences_shorten_nothing(settings, prefer):
    source = Source()
    with TestClient(create_app(settings, CONFIG, source), raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        source.predictors[1].seconds = 1.2
        answer = client.post("/v1/multimodal/classify", json=LISTING, headers={"Prefer": prefer})
        assert answer.status_code == 200
