"""The front of several workers, before an upstream that breaks connections as killed workers do."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from monitoring import metrics
from serving.front import ASKED, LARGE, Front
from serving.observed import Observed

LIMIT = 1000
SAID = b'{"answer": 1}'
Behaviour = Callable[["Handler"], None]


class Asked(NamedTuple):
    command: str
    path: str
    headers: Message
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """Does what its server is told to do next, and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "Upstream"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append(Asked(self.command, self.path, self.headers, body))
        behaviour = self.server.behaviours.pop(0) if self.server.behaviours else answered
        behaviour(self)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        pass


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: list[Behaviour] = []
        self.asked: list[Asked] = []


def answered(handler: Handler) -> None:
    handler.send_response(200)
    for name, value in (("Content-Length", str(len(SAID))), ("Set-Cookie", "a=b"), ("X-Kept", "1")):
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(SAID)


def killed(handler: Handler) -> None:
    """Before the first byte of an answer."""
    handler.close_connection = True
    handler.connection.shutdown(2)


def killed_in_the_middle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(SAID)))
    handler.end_headers()
    handler.wfile.write(SAID[:5])
    handler.wfile.flush()
    killed(handler)


def slow(handler: Handler) -> None:
    time.sleep(1.5)
    answered(handler)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def port(upstream: Upstream) -> Iterator[int]:
    front = Front(lambda: f"http://127.0.0.1:{upstream.server_port}", max_body_bytes=LIMIT, body_seconds=0.5, answer_seconds=1.0)
    server = uvicorn.Server(uvicorn.Config(front, port=0, lifespan="on", log_level="warning", proxy_headers=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(autouse=True)
def fresh(upstream: Upstream) -> None:
    upstream.asked.clear()
    upstream.behaviours.clear()


def ask(
    port: int, method: str = "GET", path: str = "/v1/models", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    found = response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return found


def lost() -> float:
    return next(
        float(line.split()[-1])
        for line in metrics.exposition().decode().splitlines()
        if line.startswith("vitrina_workers_lost_total")
    )


def test_a_request_passes_as_it_was_sent_and_so_does_the_answer(port: int, upstream: Upstream) -> None:
    body = b'{"title": "\xc3\xa9"}'
    status, content, headers = ask(port, "POST", "/v1/a%2Fb/../c?x=1&y=%20", body, Content_Type="application/json", X_Own="é")
    assert (status, content, headers["x-kept"]) == (200, SAID, "1")
    [seen] = upstream.asked
    assert (seen.command, seen.path, seen.body) == ("POST", "/v1/a%2Fb/../c?x=1&y=%20", body)
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["host"] == f"127.0.0.1:{port}"
    assert "user-agent" not in seen.headers


@pytest.mark.parametrize("end", [killed, killed_in_the_middle])
def test_what_a_killed_worker_had_is_asked_again_with_the_same_key(port: int, upstream: Upstream, end: Behaviour) -> None:
    upstream.behaviours[:] = [end, end]
    before = lost()
    assert ask(port, "POST", "/v1/recommendations/events", b"{}")[:2] == (200, SAID)
    assert len(upstream.asked) == 3
    assert {(seen.command, seen.body) for seen in upstream.asked} == {("POST", b"{}")}
    [key] = {seen.headers["idempotency-key"] for seen in upstream.asked}
    assert len(key) == 36
    assert lost() == before + 2


def test_a_clients_own_key_stays_and_each_request_has_another_one(port: int, upstream: Upstream) -> None:
    for own in ({}, {}, {"Idempotency_Key": "mine"}):
        ask(port, "POST", "/v1/feedback", b"{}", **own)
    first, second, third = (seen.headers["idempotency-key"] for seen in upstream.asked)
    assert first != second
    assert third == "mine"


def test_a_request_that_ends_every_worker_is_given_up(port: int, upstream: Upstream) -> None:
    upstream.behaviours[:] = [killed] * 10
    status, content, headers = ask(port, "POST", "/v1/embeddings", b"{}")
    assert status == 503
    assert b'"code":"worker_lost"' in content
    assert headers["retry-after"] == "5"
    assert len(upstream.asked) == ASKED


@pytest.mark.slow
def test_an_answer_that_does_not_come_is_a_timeout(port: int, upstream: Upstream) -> None:
    upstream.behaviours[:] = [slow]
    status, content, _ = ask(port)
    assert (status, b'"code":"timeout"' in content) == (504, True)


def test_large_and_compressed_bodies_never_reach_a_worker(port: int, upstream: Upstream) -> None:
    assert ask(port, "POST", body=b"x" * (LIMIT + 1))[0] == 413
    assert ask(port, "POST", body=b"x", Content_Encoding="gzip")[0] == 415
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/v1/embeddings")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"half")
    assert connection.getresponse().status == 408
    assert upstream.asked == []


def test_no_client_gets_anothers_cookies_or_speaks_for_another_address(port: int, upstream: Upstream) -> None:
    ask(port)
    ask(port, X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
    assert [seen.headers["cookie"] for seen in upstream.asked] == [None, None]
    assert [seen.headers["x-forwarded-for"] for seen in upstream.asked] == ["127.0.0.1", "127.0.0.1"]
    assert upstream.asked[1].headers["x-forwarded-proto"] == "http"


@pytest.mark.parametrize("path", ["@evil.example/", ":1/", "*", "http://evil.example/v1/models"])
def test_nobody_else_is_ever_asked(port: int, upstream: Upstream, path: str) -> None:
    try:
        status = ask(port, path=path)[0]
    except http.client.HTTPException:
        return  # the server did not take the line for a request
    assert (status, len(upstream.asked)) in ((200, 1), (400, 0), (404, 0))  # our worker, or nobody


def test_events_are_passed_on_as_they_come(port: int, upstream: Upstream) -> None:
    first = threading.Event()

    def streamed(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"data: 1\n\n")
        handler.wfile.flush()
        assert first.wait(60), "the first event was kept back"
        handler.wfile.write(b"data: 2\n\n")
        handler.close_connection = True

    upstream.behaviours[:] = [streamed]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/v1/jobs/1/events")
    response = connection.getresponse()
    assert response.read1() == b"data: 1\n\n"
    first.set()
    assert response.read() == b"data: 2\n\n"


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/event-stream"])
def test_an_answer_that_has_begun_is_not_asked_for_again(port: int, upstream: Upstream, kind: str) -> None:

    def begun(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(3 * LARGE // 2**20):
            handler.wfile.write(b"100000\r\n" + b"x" * 2**20 + b"\r\n")
        handler.wfile.flush()
        killed(handler)

    upstream.behaviours[:] = [begun]
    before = lost()
    if kind == "text/event-stream":
        assert set(ask(port, path="/v1/jobs/1/events")[1]) == set(b"x"), "what came, and an end"
    else:
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(port, path="/v1/jobs/1/result")
    assert (len(upstream.asked), lost()) == (1, before + 1)
    assert ask(port)[:2] == (200, SAID)


def test_a_large_answer_is_passed_back_whole(port: int, upstream: Upstream) -> None:
    content = b"0123456789abcdef" * (2 * LARGE // 16)

    def large(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    upstream.behaviours[:] = [large]
    assert ask(port, path="/v1/jobs/1/result")[:2] == (200, content)


@pytest.fixture(scope="module")
def guarded(upstream: Upstream) -> Iterator[int]:
    """A front that holds a token, inside of what names requests and says whose they are."""
    front = Front(
        lambda: f"http://127.0.0.1:{upstream.server_port}",
        max_body_bytes=LIMIT,
        body_seconds=1.0,
        answer_seconds=10.0,
        token="t0",
    )

    async def keyed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"x-api-key") == b"shop's":
            scope["state"] |= {"key": "00aa", "who": "shop"}
        await front(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(Observed(keyed), port=0, lifespan="on", log_level="warning", forwarded_allow_ips=[]))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def test_workers_are_told_whose_request_it_is_and_get_no_credentials(guarded: int, upstream: Upstream) -> None:
    forged = {"X_Vitrina_Front": "t1", "X_Vitrina_Key": "ffff", "X_Vitrina_Who": "admin", "X_Vitrina_Else": "1"}
    ask(guarded, X_API_Key="shop's", Authorization="Bearer secret", **forged)
    ask(guarded, **forged)
    known, anyone = (
        {name.lower(): value for name, value in seen.headers.items() if name.lower().startswith(("x-vitrina", "x-api", "auth"))}
        for seen in upstream.asked
    )
    assert known == {"x-vitrina-front": "t0", "x-vitrina-key": "00aa", "x-vitrina-who": "shop"}
    assert anyone == {"x-vitrina-front": "t0"}


def test_a_request_has_one_id_at_the_front_and_behind_it(guarded: int, upstream: Upstream) -> None:
    for sent in ({"X_Request_ID": "order-1"}, {"X_Request_ID": "two words"}, {}):
        headers = ask(guarded, **sent)[2]
        assert upstream.asked[-1].headers["x-request-id"] == headers["x-request-id"]
    assert upstream.asked[0].headers["x-request-id"] == "order-1"
    assert len({seen.headers["x-request-id"] for seen in upstream.asked}) == 3
    assert "two words" not in {seen.headers["x-request-id"] for seen in upstream.asked}


def test_what_workers_answer_is_not_counted_twice(guarded: int, upstream: Upstream) -> None:
    def counted(status: int) -> float:
        wanted = f'vitrina_requests_total{{endpoint="unknown",status="{status}"}} '
        found = [line for line in metrics.exposition().decode().splitlines() if line.startswith(wanted)]
        return float(found[0].split()[-1]) if found else 0.0

    answers, refusals = counted(200), counted(413)
    ask(guarded)
    assert ask(guarded, "POST", body=b"x" * (LIMIT + 1))[0] == 413
    assert (counted(200), counted(413)) == (answers, refusals + 1)
