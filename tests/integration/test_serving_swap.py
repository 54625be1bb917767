"""A real server process on 127.0.0.1 while champion moves three times: benchmarks/serving_load.py, smaller."""

import http.client
import json
import socket
import subprocess
import time

import pytest
from homes import fresh
from ports import free_port

from benchmarks import serving_load
from configs.schema import ServingConfig
from configs.settings import Settings
from serving.run import ServingError, command


@pytest.mark.slow
def test_no_request_fails_while_champion_moves_three_times(tmp_path):
    settings = fresh(tmp_path)
    serving_load.prepare(settings, serving_load.BUNDLE)
    found = serving_load.moving(settings, count=2400, clients=8)
    assert found["problems"] == []
    assert (found["requests"], found["failed"]) == (2400, 0)
    assert set(found["answers_by_version"]) == {"1", "2", "3"}
    assert [move["to"] for move in found["moves"]] == [2, 3, 2]


@pytest.fixture
def empty_server(tmp_path):
    """Two workers, and nothing registered yet."""
    settings = fresh(tmp_path)
    port = free_port()
    config = ServingConfig(port=port, workers=2, max_body_bytes=100_000, request_seconds=3)
    arguments, environment = command(settings, config)
    log = tmp_path / "server.log"
    with log.open("wb") as out, subprocess.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        deadline = time.monotonic() + 120
        while not _answers(port):
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield settings, config
        process.terminate()
        process.wait(30)


def _answers(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        try:
            probe.connect(("127.0.0.1", port))
            probe.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def _raw(port, request, seconds=10):
    """Status of the answer to bytes as they are, and its JSON body."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, json.loads(response.read() or b"null")


@pytest.mark.slow
def test_a_server_without_champion_answers_in_the_apis_form(empty_server):
    settings, config = empty_server
    deadline = time.monotonic() + 60
    while True:
        status, body = _raw(config.port, b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert status == 503
        if "has no champion" in (body["models"][0]["last_error"] or ""):
            break
        assert time.monotonic() < deadline, body
        time.sleep(0.5)

    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    status, body = _raw(config.port, head + b'Content-Length: 13\r\n\r\n{"title":"a"}')
    assert (status, body["error"]["code"]) == (503, "not_ready")

    chunk = b"2710\r\n" + b"a" * 10_000 + b"\r\n"
    status, body = _raw(config.port, head + b"Transfer-Encoding: chunked\r\n\r\n" + 11 * chunk)
    assert (status, body["error"]["code"]) == (413, "too_large")

    start = time.monotonic()
    status, body = _raw(config.port, head + b'Content-Length: 1000\r\n\r\n{"tit')  # and then nothing
    assert (status, body["error"]["code"]) == (408, "request_timeout")
    assert time.monotonic() - start < 30

    status, body = _raw(config.port, b"GET /assets/../../../../../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, body["error"]["code"]) == (404, "not_found")

    with pytest.raises(ServingError, match=rf"cannot listen on 127\.0\.0\.1:{config.port}: Address already in use"):
        command(settings, config)


def test_a_host_that_is_no_address_is_refused(tmp_path):
    settings = Settings(tmp_path, "sqlite:///x.db", "sqlite:///y.db")
    with pytest.raises(ServingError, match=r"'shop\.example' is not an IP address"):
        command(settings, ServingConfig(host="shop.example"))
