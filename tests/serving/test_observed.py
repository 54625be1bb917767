"""Requests in progress: counted until they are answered, and once a server."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from monitoring import metrics
from serving.observed import Observed


def in_progress() -> float:
    [value] = [
        line.split()[1] for line in metrics.exposition().decode().splitlines() if line.startswith("vitrina_requests_in_progress ")
    ]
    return float(value)


async def seen_while_answering(path: str, *, content_type: bytes = b"application/json", foremost: bool = True) -> list[float]:
    """What is in progress before the answer, after its beginning, and after its end."""
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(in_progress())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
        seen.append(in_progress())
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Message) -> None:
        pass

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    before = in_progress()
    await Observed(app, foremost=foremost)({"type": "http", "path": path, "headers": [], "method": "GET"}, receive, send)
    return [value - before for value in (*seen, in_progress())]


def test_a_request_is_in_progress_until_it_is_answered() -> None:
    assert asyncio.run(seen_while_answering("/v1/models")) == [1, 1, 0]


def test_who_watches_events_is_not() -> None:
    assert asyncio.run(seen_while_answering("/v1/jobs/1/events", content_type=b"text/event-stream; charset=utf-8")) == [1, 0, 0]


def test_health_and_metrics_are_not() -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert asyncio.run(seen_while_answering(path)) == [0, 0, 0]


def test_a_worker_leaves_it_to_its_front() -> None:
    assert asyncio.run(seen_while_answering("/v1/models", foremost=False)) == [0, 0, 0]


def test_a_request_that_fails_is_no_longer_in_progress() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    before = in_progress()
    asked = Observed(broken)({"type": "http", "path": "/v1/models", "headers": [], "method": "GET"}, None, None)  # type: ignore[arg-type]
    try:
        asyncio.run(asked)  # type: ignore[arg-type]
    except RuntimeError:
        assert in_progress() == before
    else:
        raise AssertionError("the error went nowhere")
