"""The playground in the process that listens. Gradio is imported once the server starts, in a thread, and never where it is off.

What Gradio has beside the page, such as its own API, its proxy and its editor, is not reachable: `ALLOWED` says what is.
"""

import asyncio
import ipaddress
import os
import re
import shutil
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from configs.schema import ServingConfig
from configs.settings import Settings
from serving.errors import ApiError, ClientLeft, Forbidden, NotFound, error_response
from serving.jobs.events import Streams
from serving.limits import BodyLimit

PATH = "/playground"
ALLOWED = re.compile(
    r"/(?:config|theme\.css|(?:static|assets)/.+"
    r"|gradio_api/(?:startup-events|queue/join|queue/data|heartbeat/\w+|cancel|reset|upload|upload_progress|file=/.+))?"
)
"""Below `PATH`, all that the page asks for."""
STREAMS = re.compile(rf"{PATH}/gradio_api/(?:queue/data|heartbeat/\w+)")
"""Answers that go on for as long as the page is open."""
STREAMS_A_PAGE = 2
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
)
"""Gradio compiles its components' templates in the browser. Nothing comes from, or goes to, another server."""
_SAID = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True)
class Counted:
    """By which requests of the page are counted: one name for all of them."""

    path: str = PATH


class Playground:
    """The page: an ASGI application of `PATH` and what lies below. Keys were asked for before."""

    def __init__(self, settings: Settings, config: ServingConfig) -> None:
        self._config = config
        self._folder = settings.home / "serving" / str(config.port) / "playground"
        self._streams = Streams(STREAMS_A_PAGE * config.playground.pages)
        self._limited = BodyLimit(self._show, config.max_body_bytes, config.request_seconds)
        self._page: asyncio.Task[FastAPI] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["route"] = Counted()
        await self._limited(scope, receive, send)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The page is made, and shown until the server stops; what it left on the disk goes then, or at the next start."""
        shutil.rmtree(self._folder, ignore_errors=True)
        unlisten, over = self._streams.listen(), asyncio.Event()
        made: asyncio.Future[FastAPI] = asyncio.get_running_loop().create_future()
        live = asyncio.create_task(self._live(made, over))
        self._page = asyncio.create_task(_first(made, live))
        try:
            yield
        finally:
            unlisten()
            over.set()
            await asyncio.gather(live, self._page, return_exceptions=True)
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _live(self, made: "asyncio.Future[FastAPI]", over: asyncio.Event) -> None:
        page = await to_thread.run_sync(_make, self._config, self._folder)
        async with page.router.lifespan_context(page):
            made.set_result(page)
            await over.wait()

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio answer a request, or say why it does not."""
        told = _Told(receive, send)
        try:
            await self._answer(scope, told)
        except ApiError as error:
            told.refused = error
        except ClientDisconnect:  # or its body was refused, which looks the same to Gradio
            told.refused = told.refused or ClientLeft("the client left before its request was complete")
        if told.refused is not None and not told.begun:
            await error_response(told.refused)(scope, receive, send)

    async def _answer(self, scope: Scope, told: "_Told") -> None:
        """Let Gradio answer.

        Raises:
            ApiError: the request is none of the page, or too many pages are open; nothing was sent.
        """
        if scope["path"] == PATH:
            query = scope["query_string"].decode("latin-1")
            await RedirectResponse(f"{PATH}/{'?' if query else ''}{query}", 307)(scope, told.receive, told.send)
            return
        if ALLOWED.fullmatch(scope["path"].removeprefix(PATH)) is None:
            raise NotFound(f"{scope['method']} {scope['path'][:200]}: Not Found")
        if scope["method"] != "GET" and dict(scope["headers"]).get(b"sec-fetch-site", b"same-origin") != b"same-origin":
            raise Forbidden("the playground is asked from its own page alone")
        assert self._page is not None, "servers open what they show"
        page = await asyncio.shield(self._page)
        if STREAMS.fullmatch(scope["path"]) is None:
            await page(scope, told.receive, told.send)
            return
        with self._streams.one() as stopped:
            await _until(stopped, page(scope, told.receive, told.send), told)


class Beside:
    """ASGI middleware: `page` answers what is its own, `app` everything else.

    Args:
        lives: Whether the page starts and stops with `app`, whose lifespan passes here.
    """

    def __init__(self, app: ASGIApp, page: Playground, lives: bool = False) -> None:
        self.app = app
        self._page, self._lives = page, lives

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on the lifespan."""
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PATH}/"):
            await self._page(scope, receive, send)
        elif scope["type"] == "lifespan" and self._lives:
            async with self._page.opened():
                await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class _Told:
    """`receive` and `send` of a request: what refuses its body is kept, as Gradio would call it a failure of its own."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.refused: ApiError | None = None
        self.begun = self.ended = False

    async def receive(self) -> MutableMapping[str, Any]:
        try:
            return await self._receive()
        except ApiError as error:
            self.refused = error
            return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.refused is not None and not self.begun:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            message = {**message, "headers": [*message.get("headers", ()), *_SAID]}
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)


async def _until(stopped: asyncio.Event, answering: Any, told: _Told) -> None:
    """Answer until the server is told to stop; then the answer ends."""
    answer, stop = asyncio.ensure_future(answering), asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait({answer, stop}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            answer.result()
    finally:
        answer.cancel()
        stop.cancel()
        await asyncio.gather(answer, stop, return_exceptions=True)
    if told.begun and not told.ended:
        await told.send({"type": "http.response.body", "body": b""})


async def _first(made: "asyncio.Future[FastAPI]", live: "asyncio.Task[None]") -> FastAPI:
    """The page, once it is made; what kept it from that is raised."""
    both: set[asyncio.Future[Any]] = {made, live}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not made.done():
        live.result()
    return made.result()


def _make(config: ServingConfig, folder: Path) -> FastAPI:
    """An application that has the page under `PATH`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}  # read when Gradio is imported
    from playground.page import Bounds, mount

    page = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    shown = config.playground
    mount(
        page,
        PATH,
        address(config.host, config.port),
        folder,
        Bounds(config.max_body_bytes, shown.at_once, shown.waiting, 60 * shown.keep_minutes),
    )
    return page


def address(host: str, port: int) -> str:
    """Where this machine reaches a service that listens at `host`."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if found.is_unspecified:
        found = ipaddress.ip_address("127.0.0.1" if found.version == 4 else "::1")
    return f"http://[{found}]:{port}" if found.version == 6 else f"http://{found}:{port}"
