"""Keys, rates and request ids of a running server, of one worker and of several: nothing that a client says of itself helps."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from commands import home_with_product
from homes import settings_of
from ports import free_port

from configs.schema import AccessConfig, ServingConfig
from database.keys import create, forget, revoke
from registry.promotion import promote
from serving.run import command

ACCESS = AccessConfig(reread_seconds=0.1, requests_a_minute=100_000, refusals_a_minute=20)
TITLE = json.dumps({"title": "Nordal Men Blue Striped Shirt"})


class Server(NamedTuple):
    port: int
    url: str
    log: Path
    process: psutil.Process


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that listens on loopback and has no key yet; its log is JSON."""
    root = tmp_path_factory.mktemp("server")
    home = home_with_product(root / "home")
    settings = settings_of(home)
    promote(settings, "product", 1, "test", "first")
    port, log = free_port(), root / "server.log"
    config = ServingConfig(port=port, workers=request.param, poll_seconds=0.5, access=ACCESS, log="json")
    arguments, environment = command(settings, config)
    with log.open("wb") as out, subprocess.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        try:
            until(lambda: process.poll() is not None or ready(port))
            assert process.poll() is None, log.read_text()[-2000:]
            yield Server(port, settings.database_url, log, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(60)


def ready(port: int) -> bool:
    try:
        return ask(port, "GET", "/readyz").status == 200
    except OSError:
        return False


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.1)


def ask(port: int, method: str, path: str, body: str | None = None, seconds: float = 30, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json"} | named)
    response = connection.getresponse()
    found = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    return found


def lines(server: Server, request_id: str) -> list[dict[str, object]]:
    """What the log says of a request."""
    found = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{") and request_id in line]
    return [line for line in found if line.get("request_id") == request_id]


@pytest.mark.slow
def test_a_request_keeps_its_id_through_every_process(server: Server) -> None:
    answer = ask(server.port, "POST", "/v1/multimodal/classify", TITLE, X_Request_ID="order-17", Authorization="Bearer secret-17")
    assert (answer.status, answer.headers["x-request-id"]) == (200, "order-17")
    until(lambda: lines(server, "order-17"), 60)
    [line] = lines(server, "order-17")
    wanted = {"method": "POST", "route": "/v1/multimodal/classify", "status": 200, "model": "product", "version": "1"}
    assert wanted.items() <= line.items()
    assert "secret-17" not in server.log.read_text()
    made = ask(server.port, "GET", "/v1/nowhere", X_Request_ID="a\tb").headers["x-request-id"]
    assert len(made) == 32


@pytest.mark.slow
def test_keys_that_are_made_and_revoked_elsewhere_count_here(server: Server) -> None:
    key, token = create(server.url, "shop", ("predict",), who="test")
    try:
        until(lambda: ask(server.port, "GET", "/v1/models").status == 401, 60)
        asked = {"X_API_Key": token, "X_Request_ID": "keyed-1"}
        assert ask(server.port, "POST", "/v1/multimodal/classify", TITLE, **asked).status == 200
        assert ask(server.port, "GET", "/v1/models", X_API_Key=token).status == 403
        assert ask(server.port, "GET", "/metrics").status == 401
        assert [ask(server.port, "GET", path).status for path in ("/livez", "/healthz", "/readyz")] == [200, 200, 200]
        until(lambda: lines(server, "keyed-1"), 60)
        assert [line["key"] for line in lines(server, "keyed-1")] == [key.id]
        revoke(server.url, "shop", who="test")
        until(lambda: ask(server.port, "POST", "/v1/multimodal/classify", TITLE, X_API_Key=token).status == 401, 60)
        assert token not in server.log.read_text()
    finally:
        forget(server.url, "shop", who="test")
    until(lambda: ask(server.port, "GET", "/v1/models").status == 200, 60)


@pytest.mark.slow
def test_a_forged_address_does_not_help(server: Server) -> None:
    _, token = create(server.url, "limited", ("read",), who="test", requests_a_minute=5)
    try:
        until(lambda: ask(server.port, "GET", "/v1/models").status in (401, 429), 60)
        forged = ("X_Forwarded_For", "X_Real_IP", "Forwarded", "CF_Connecting_IP", "True_Client_IP")
        found = []
        for turn in range(60):
            address = f"203.0.113.{turn}"
            said = dict.fromkeys(forged, address) | {"Forwarded": f"for={address}"}
            found.append(ask(server.port, "GET", "/v1/models", X_API_Key="guess", **said))
        assert {answer.status for answer in found[-20:]} == {429}
        assert int(found[-1].headers["retry-after"]) >= 1
        mine = [ask(server.port, "GET", "/v1/models", X_API_Key=token, X_Forwarded_For=f"203.0.113.{n}") for n in range(20)]
        assert [answer.status for answer in mine[:4]] == [200] * 4  # who has a key is not held up by the guesses
        assert mine[-1].status == 429
        assert [ask(server.port, "GET", "/livez").status for _ in range(30)] == [200] * 30
    finally:
        forget(server.url, "limited", who="test")
    until(lambda: ask(server.port, "GET", "/v1/models").status == 200, 60)


@pytest.mark.slow
def test_nobody_reaches_a_worker_around_its_front(server: Server) -> None:
    own = [server.process, *server.process.children(recursive=True)]
    ports = {
        connection.laddr.port
        for process in own
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    } - {server.port}
    _, token = create(server.url, "around", ("admin",), who="test")
    try:
        until(lambda: ask(server.port, "GET", "/v1/models").status in (401, 429), 60)
        for port in ports:
            for headers in ({}, {"X_API_Key": token}, {"X_Vitrina_Front": "guess", "X_Vitrina_Key": "0" * 12}):
                try:
                    assert ask(port, "GET", "/v1/models", seconds=2, **headers).status in (401, 404)
                except (http.client.HTTPException, OSError):
                    continue  # it speaks no HTTP
    finally:
        forget(server.url, "around", who="test")
    if any("serving.workers" in argument for argument in server.process.cmdline()):
        assert ports
    assert "VITRINA_FRONT_TOKEN" not in os.environ


@pytest.mark.slow
def test_what_any_process_counts_is_told_with_what_the_database_knows(server: Server) -> None:
    text = ask(server.port, "GET", "/metrics").body.decode()
    for wanted in (
        'vitrina_answers_total{endpoint="/v1/multimodal/classify",model="product",status="200",version="1"}',
        'vitrina_requests_refused_total{reason="unauthorized"}',
        'vitrina_requests_refused_total{reason="rate_limited"}',
        'vitrina_queue_wait_seconds_count{model="product"}',
        "vitrina_database_up 1.0",
        'vitrina_jobs{state="queued"} 0.0',
    ):
        assert wanted in text, wanted
    [memory] = [float(line.split()[-1]) for line in text.splitlines() if line.startswith("vitrina_process_memory_bytes ")]
    assert memory > 1e8
