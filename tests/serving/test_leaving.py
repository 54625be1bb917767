"""A client that closes its connection ends its drawing, at the worker and through the front; others lose nothing."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from homes import settings_of
from starlette.types import ASGIApp

from serving.app import create_app
from serving.front import Front
from tests.serving.conftest import CONFIG, Imagegen, Source, wait_until

DRAWS = CONFIG.model_copy(
    update={"models": ("imagegen",), "images": CONFIG.images.model_copy(update={"max_waiting": 2}), "request_seconds": 30}
)


@contextmanager
def listening(app: ASGIApp) -> Iterator[int]:
    """The port of an application."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_level="warning", proxy_headers=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def source() -> Source:
    return Source()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Iterator[int]:
    home: Path = tmp_path_factory.mktemp("worker")
    app = create_app(settings_of(home), DRAWS, source)
    with listening(app) as port:
        wait_until(lambda: 1 in source.imagers)
        wait_until(lambda: ask(port, "GET", "/readyz")[0] == 200)
        yield port


@pytest.fixture(scope="module")
def front(worker: int) -> Iterator[int]:
    app = Front(lambda: f"http://127.0.0.1:{worker}", max_body_bytes=1000, body_seconds=5, answer_seconds=60)
    with listening(app) as port:
        yield port


@pytest.fixture(params=["worker", "front"])
def port(request: pytest.FixtureRequest) -> int:
    found: int = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def drawer(source: Source) -> Imagegen:
    made: Imagegen = source.imagers[1]
    made.asked.clear()
    made.ended.clear()
    made.started.clear()
    made.going.set()
    made.seconds = 0.05
    return made


def begun(port: int, prompt: str, **settings: Any) -> http.client.HTTPConnection:
    """A request that was sent and is not waited for."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    body = json.dumps({"prompt": prompt, **settings})
    connection.request("POST", "/v1/generate/image", body, {"content-type": "application/json"})
    return connection


def answered(connection: http.client.HTTPConnection) -> int:
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    connection.request(method, path)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_the_drawing_ends_at_the_next_step_and_the_one_that_waits_is_drawn(port: int, drawer: Imagegen) -> None:
    leaver = begun(port, "leaver", steps=100)
    wait_until(drawer.started.is_set)
    stayer = begun(port, "stayer", steps=10)
    time.sleep(0.2)
    leaver.close()
    wait_until(lambda: drawer.ended)
    assert drawer.ended[0] < 100
    assert answered(stayer) == 200
    assert [prompt.text for prompt in drawer.asked] == ["leaver", "stayer"]
    assert len(drawer.ended) == 1


@pytest.mark.slow
def test_one_who_leaves_while_waiting_is_never_drawn_and_gives_the_place_back(port: int, drawer: Imagegen) -> None:
    drawer.going.clear()
    first = begun(port, "first", steps=30)
    wait_until(drawer.started.is_set)
    waiting = [begun(port, f"leaver {place}", steps=100) for place in range(2)]
    time.sleep(0.3)
    assert answered(begun(port, "too many", steps=10)) == 503
    for connection in waiting:
        connection.close()
    time.sleep(0.3)
    second = begun(port, "second", steps=10)
    drawer.going.set()
    assert answered(first) == answered(second) == 200
    assert [prompt.text for prompt in drawer.asked] == ["first", "second"]
    assert not drawer.ended


def test_a_client_that_waits_is_answered(port: int, drawer: Imagegen) -> None:
    drawer.seconds = 0.0
    assert [answered(begun(port, "patient", steps=10)) for _ in range(3)] == [200] * 3
    assert not drawer.ended


def test_those_who_left_are_counted_by_a_status_of_their_own(worker: int, drawer: Imagegen) -> None:
    leaver = begun(worker, "leaver", steps=100)
    wait_until(drawer.started.is_set)
    leaver.close()
    wait_until(lambda: drawer.ended)
    told = b'vitrina_requests_total{endpoint="/v1/generate/image",status="499"}'
    wait_until(lambda: told in ask(worker, "GET", "/metrics")[1])
