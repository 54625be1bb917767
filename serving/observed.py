"""Counts, times and names every request; in JSON logs it is a line."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitoring import metrics
from serving.about import REQUEST_ID, About, begin
from serving.access.scopes import OPEN
from serving.requests import EVENTS

requests = logging.getLogger("vitrina.requests")
"""A line a request, at INFO; `serving.logs` says whether it is written."""
_HEADER = REQUEST_ID.lower().encode()
_EVENTS = EVENTS.encode()
QUIET = OPEN | {"/metrics"}
"""Asked by machines every few seconds: only what goes wrong with them is a line."""


class Observed:
    """ASGI middleware, outside of all others of a process.

    Requests are counted by route template, so that paths do not become labels, and by the version that answered; one that a
    worker answers is counted there. A stream of events takes until it begins: how long a client then watches is no latency.

    Args:
        foremost: Whether nothing of the same server stands before it: what is in progress is counted there, as requests that no
            worker has taken yet are among it.
    """

    def __init__(self, app: ASGIApp, *, foremost: bool = True) -> None:
        self.app = app
        self._foremost = foremost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        about = begin(next((value for name, value in scope["headers"] if name == _HEADER), None))
        named, start, status, counted = about.request_id.encode(), time.perf_counter(), 0, False
        began: float | None = None
        held = self._foremost and scope["path"] not in QUIET
        if held:
            metrics.request_begun()

        def let_go() -> None:
            nonlocal held
            if held:
                held = False
                metrics.request_ended()

        def took() -> float:
            return (time.perf_counter() if began is None else began) - start

        async def watched(message: Message) -> None:
            nonlocal status, counted, began
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != _HEADER]
                message = {**message, "headers": [*headers, (_HEADER, named)]}
                if any(name.lower() == b"content-type" and value.startswith(_EVENTS) for name, value in headers):
                    began = time.perf_counter()
                    let_go()
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                counted = True
                _count(scope, about, status, took())
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            let_go()
            if status and not counted:  # the client left in the middle of an answer
                _count(scope, about, status, took())


def _count(scope: Scope, about: About, status: int, seconds: float) -> None:
    if about.elsewhere:
        return
    route = getattr(scope.get("route"), "path", "unknown")
    metrics.request_done(route, status, seconds, about.model, about.version)
    if requests.isEnabledFor(logging.INFO) and (status >= 400 or scope["path"] not in QUIET):
        said = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 2),
            "key": scope.get("state", {}).get("key"),
            "client": scope["client"][0] if scope.get("client") else None,
            "model": about.model or None,
            "version": about.version or None,
            "error": about.error or None,
        }
        requests.info("request", extra={name: value for name, value in said.items() if value is not None})
