"""Clients that leave before they are answered: their places in the queue are free again, also through a front and a gateway."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from serving.app import create_app
from serving.front import Front
from tests.serving.conftest import CONFIG, Predictor, Source, wait_until
from tests.serving.test_gateway import TOKEN, Nothing, asked, settings_of
from tests.serving.test_leaving import answered, listening

pytestmark = pytest.mark.slow

PLACES = 4
CLASSIFIES = CONFIG.model_copy(update={"max_batch_size": 1, "max_queue": PLACES, "request_seconds": 30})
PATH = "/v1/multimodal/classify"
LEFT = f'vitrina_requests_total{{endpoint="{PATH}"'


class Held(Predictor):
    """Answers when it may."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.started, self.may_answer = threading.Event(), threading.Event()

    def predict(self, listings: Any) -> Any:
        self.started.set()
        assert self.may_answer.wait(60)
        return super().predict(listings)


class Holding(Source):
    """Its predictor is `Held`."""

    def load(self, model: str, version: int) -> Any:
        return self.predictors.setdefault(version, Held(version))


@pytest.fixture
def source() -> Holding:
    return Holding()


@pytest.fixture(params=["worker", "front", "gateway"])
def port(request: pytest.FixtureRequest, tmp_path: Path, source: Holding) -> Iterator[int]:
    token = None if request.param == "worker" else TOKEN
    with ExitStack() as stack:
        worker = stack.enter_context(listening(create_app(settings_of(tmp_path), CLASSIFIES, source, token)))
        wait_until(lambda: asked(worker, "GET", "/readyz")[0] == 200)
        url = f"http://127.0.0.1:{worker}"
        if request.param == "worker":
            yield worker
        elif request.param == "front":
            front = Front(lambda: url, max_body_bytes=10_000, body_seconds=5, answer_seconds=60, token=TOKEN)
            yield stack.enter_context(listening(front))
        else:
            config = CLASSIFIES.model_copy(update={"models": (), "upstreams": {"product": url}})
            yield stack.enter_context(listening(create_app(settings_of(tmp_path), config, Nothing(), token=TOKEN)))


def begun(port: int, title: str) -> http.client.HTTPConnection:
    """A request that was sent and is not waited for."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", PATH, json.dumps({"title": title}), {"content-type": "application/json"})
    return connection


def left(port: int) -> float:
    """Requests whose clients left, as whoever listens at a port has counted them."""
    lines = asked(port, "GET", "/metrics")[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(LEFT) and 'status="499"' in line)


def taken(connection: http.client.HTTPConnection) -> bool:
    """Whether a request found a place: a refusal comes at once, an answer does not come before it may."""
    assert connection.sock is not None
    connection.sock.settimeout(1.0)
    try:
        status = connection.getresponse().status
    except TimeoutError:
        return True
    assert status == 503
    return False


def test_places_of_those_who_left_are_free_again(port: int, source: Holding) -> None:
    wait_until(lambda: 1 in source.predictors)
    held = source.predictors[1]
    first = begun(port, "first")
    wait_until(held.started.is_set)
    leavers: list[http.client.HTTPConnection] = []
    while taken(leaver := begun(port, "leaver")):
        leavers.append(leaver)
    assert len(leavers) == PLACES
    for connection in leavers:
        connection.close()
    stayers: list[http.client.HTTPConnection] = []

    def found() -> bool:
        stayers.append(begun(port, "stayer"))
        return taken(stayers[-1])

    wait_until(found)
    held.may_answer.set()
    assert answered(first) == 200
    wait_until(lambda: [listing.title for listing in held.asked] == ["first", "stayer"])
    for connection in stayers:
        connection.close()


def test_those_who_left_are_counted_and_cost_nothing(port: int, source: Holding) -> None:
    wait_until(lambda: 1 in source.predictors)
    held, before = source.predictors[1], left(port)
    first = begun(port, "first")
    wait_until(held.started.is_set)

    def counted() -> bool:
        leaver = begun(port, "leaver")
        assert taken(leaver)
        leaver.close()
        return left(port) > before

    wait_until(counted)
    held.may_answer.set()
    assert answered(first) == 200
    assert answered(begun(port, "last")) == 200
    assert "leaver" not in [listing.title for listing in held.asked]


@pytest.mark.parametrize("port", ["worker"], indirect=True)
def test_one_who_leaves_in_the_middle_of_a_request_is_no_error(port: int, caplog: pytest.LogCaptureFixture) -> None:
    before = left(port)

    def counted() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", PATH)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", "100")):
            connection.putheader(name, value)
        connection.endheaders(b"half")
        connection.close()
        return left(port) > before

    wait_until(counted)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
