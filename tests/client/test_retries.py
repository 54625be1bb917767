"""Requests that fail for a while, for good, or half way."""

import json
import pickle
import socket
import threading

import httpx
import pytest

from vitrina_client import (
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unprocessable,
    VitrinaError,
)

STORED = {"count": 1, "repeated": 0}
EVENTS = [{"user_id": 1, "item_id": "a", "kind": "view"}]


class Service:
    """Answers with what it is given, in turn, then with success; an error breaks the connection."""

    def __init__(self, *first):
        self.first = list(first)
        self.requests = []
        self.timeouts = []

    def __call__(self, request):
        self.requests.append(request)
        self.timeouts.append(request.extensions["timeout"]["read"])
        request.read()
        if not self.first:
            return httpx.Response(201, json=STORED)
        now = self.first.pop(0)
        if isinstance(now, Exception):
            raise now
        status, headers = now if isinstance(now, tuple) else (now, {})
        body = {"error": {"code": "told", "message": "why", "field": None}}
        return httpx.Response(status, json=body, headers=headers)


@pytest.fixture
def through(face):
    """A face before a service of the test's own."""
    return lambda service, **options: face("http://shop", transport=httpx.MockTransport(service), **options)


@pytest.mark.parametrize(
    "failure", [429, 502, 503, 504, httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.RemoteProtocolError("")]
)
def test_what_passes_is_tried_again_with_growing_pauses_under_one_key(through, clock, failure):
    service = Service(failure, failure, failure)
    assert through(service).tell_events(EVENTS).count == 1
    assert clock.slept == [0.25, 0.5, 1.0]
    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 1
    assert len({request.headers["X-Request-ID"] for request in service.requests}) == 1
    assert [json.loads(request.content) for request in service.requests] == [{"events": EVENTS}] * 4


def test_the_service_says_when(through, clock):
    service = Service(
        (429, {"Retry-After": "7"}), (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), (503, {"Retry-After": "soon"})
    )
    through(service).tell_events(EVENTS)
    assert clock.slept == [7.25, 0.5, 1.0]


def test_pauses_are_drawn_by_chance(through, clock, monkeypatch):
    drawn = []
    monkeypatch.setattr("vitrina_client.retries.random.uniform", lambda low, high: drawn.append((low, high)) or 0.1)
    through(Service(*[503] * 8), retries=8).tell_events(EVENTS)
    assert drawn == [(0, seconds) for seconds in (0.25, 0.5, 1, 2, 4, 8, 8, 8)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (405, VitrinaError),
        (409, Conflict),
        (413, TooLarge),
        (422, Unprocessable),
        (500, VitrinaError),
        (501, NotSupported),
    ],
)
def test_what_would_come_again_is_raised_at_once(through, clock, status, kind):
    service = Service(status)
    with pytest.raises(VitrinaError) as caught:
        through(service).tell_events(EVENTS)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.field) == (status, "told", "why", None)
    assert error.request_id == service.requests[0].headers["X-Request-ID"]
    assert (len(service.requests), clock.slept) == (1, [])


def test_errors_pass_between_processes():
    error = RateLimited("slow down", code="rate_limited", status=429, request_id="r", retry_after=2.0)
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), other.retry_after) == (RateLimited, "429 rate_limited: slow down (request r)", 2.0)


@pytest.mark.parametrize(("failure", "kind"), [(503, Unavailable), (429, RateLimited), (httpx.ReadError(""), ConnectionFailed)])
def test_tries_are_bounded(through, clock, failure, kind):
    service = Service(*[failure] * 9)
    with pytest.raises(kind):
        through(service, retries=2).tell_events(EVENTS)
    assert len(service.requests) == 3


def test_no_pause_goes_beyond_the_deadline(through, clock):
    service = Service(503, (503, {"Retry-After": "60"}))
    with pytest.raises(Unavailable) as caught:
        through(service, deadline=30).tell_events(EVENTS)
    assert caught.value.retry_after == 60
    assert (len(service.requests), clock.slept) == (2, [0.25])


def test_a_try_waits_no_longer_than_is_left(through, clock):
    service = Service(*[503] * 3)
    through(service, timeout=30, deadline=1.8).tell_events(EVENTS)
    assert service.timeouts == [pytest.approx(seconds) for seconds in (1.8, 1.55, 1.05, 0.05)]


def test_a_deletion_whose_answer_was_lost_is_done(through, clock):
    through(Service(httpx.ReadError(""), 404)).delete_fewshot_task("t")
    with pytest.raises(NotFound):
        through(Service(503, 404)).delete_fewshot_task("t")


def test_an_answer_of_something_else(through):
    with pytest.raises(UnexpectedAnswer, match="http://shop/v1/models answers what this client does not know: the body"):
        through(lambda _: httpx.Response(200, text="<html>")).list_models()
    with pytest.raises(Unavailable) as caught:
        through(lambda _: httpx.Response(502, text="<html>"), retries=0).list_models()
    assert (caught.value.code, caught.value.message) == ("http_502", "Bad Gateway from http://shop/v1/models")


def test_a_redirection_is_not_followed_with_the_key(through):
    asked = []

    def moved(request):
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "http://elsewhere/"})

    with pytest.raises(VitrinaError) as caught:
        through(moved, api_key="vk_1_secret").list_models()
    assert (caught.value.status, asked) == (307, ["shop"])


def test_words_of_a_newer_service_are_let_through(through):
    answer = {"sentiment": "mixed", "recommended": 0.5, "rating": 3.0, "certainty": 0.1}
    body = {"model": {"name": "product", "version": 1}, "reviews": [answer], "further": True}
    opinions = through(lambda _: httpx.Response(200, json=body)).analyze_sentiment([{"text": "so so"}])
    assert opinions.reviews[0].sentiment == "mixed"


def test_address_and_key(through, face, monkeypatch):
    service = Service()
    through(service, api_key="vk_1_secret").tell_events(EVENTS)
    monkeypatch.setenv("VITRINA_URL", "http://other:81/shop/")
    monkeypatch.setenv("VITRINA_API_KEY", "vk_2_secret")
    other = face(transport=httpx.MockTransport(service))
    other.tell_events(EVENTS)
    assert [(str(r.url), r.headers["Authorization"]) for r in service.requests] == [
        ("http://shop/v1/recommendations/events", "Bearer vk_1_secret"),
        ("http://other:81/shop/v1/recommendations/events", "Bearer vk_2_secret"),
    ]
    assert "secret" not in repr(other.client.__dict__)


@pytest.mark.parametrize("address", ["localhost:3000", "ftp://shop", "http://", "shop"])
def test_what_is_no_address(face, address):
    with pytest.raises(ValueError, match="is no address"):
        face(address)


def test_a_service_that_hangs_up(face):
    """Connections that end before an answer; the third is answered."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard = []

        def serve():
            for turn in range(3):
                connection, _ = listening.accept()
                with connection:
                    said = b""
                    while b'"view"' not in said:
                        said += connection.recv(65536)
                    heard.append(said)
                    if turn == 2:
                        body = json.dumps(STORED).encode()
                        connection.sendall(
                            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                        )
                        connection.sendall(body)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert face(f"http://127.0.0.1:{listening.getsockname()[1]}").tell_events(EVENTS).count == 1
        thread.join(60)
    keys = {line for said in heard for line in said.lower().split(b"\r\n") if line.startswith(b"idempotency-key")}
    assert (len(heard), len(keys)) == (3, 1)


def test_nobody_listens(face):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        face(f"http://127.0.0.1:{port}", retries=0).list_models()
    assert (caught.value.status, caught.value.code) == (None, "connection")
    assert f"http://127.0.0.1:{port}/v1/models" in str(caught.value)
