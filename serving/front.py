"""The front of several workers: it listens, passes each request on, and asks again where the worker was lost.

A worker that is killed takes the connections down that it had accepted. So a request is read whole before it is passed on,
and an answer before its first byte is passed back: where the connection breaks in between, the same request is asked again, and
answered by whichever worker accepts it. The workers share one listening socket that outlives each of them: while none runs,
requests wait in its queue. Every request of the API may be asked twice: answers are computed from what was sent, feedback
replaces, and an event, or what a few-shot task is taught, is told from its repetition by the `Idempotency-Key` that is added here
where the client gives none. A deletion that is asked twice may say that there is nothing of that name: then it is gone.

Where the client leaves before its answer, the worker's connection is closed too, so that it can end what nobody waits for.

Answers of type text/event-stream, and those that are large, as the results of a job may be, are passed back piece by piece. They
are not asked for again once they have begun: where the worker is lost then, events end, and the connection of who waits for the
rest of another answer breaks too.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from multidict import CIMultiDict
from starlette.types import Receive, Scope, Send
from yarl import URL

from monitoring import metrics
from serving.about import REQUEST_ID, note, request_id
from serving.access import passed
from serving.errors import ApiError, ClientLeft, NotFound, TimedOut, Unavailable, error_response
from serving.limits import gone, limited, refusal
from serving.requests import EVENTS, IDEMPOTENCY_KEY

ASKED = 3
"""How often a request is asked at most: one that ends every worker which computes it must not end them all."""
LARGE = 8 * 1024 * 1024
"""Bytes of an answer that are held at most."""

_OF_A_CONNECTION = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
_SAID_HERE = {"content-length", "x-forwarded-for", "x-forwarded-proto", "authorization", "x-api-key"}
"""What a client says of its own address is not passed on: workers believe what comes from this machine. Nor is its key."""
_LOST = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
_AS_THEY_ARE = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add."""


def _workers_lost() -> ApiError:
    return Unavailable("worker_lost", f"{ASKED} workers ended while they computed this answer", retry_after_seconds=5)


class Front:
    """ASGI application in front of workers, or of a service of models (`serving.gateway`).

    Args:
        address: Where the workers listen, such as http://127.0.0.1:40123; asked for at startup.
        max_body_bytes: Larger request bodies get 413.
        body_seconds: A body that takes longer to arrive gets 408.
        answer_seconds: An answer that takes longer, over all times it is asked for, is 504.
        on_lost: Told when a worker was lost with a request.
        token: By which workers know that a request comes from here.
        counted_there: Whether those with the token count what they answer, in metrics that are one with those of this process.
        given_up: What a client is told whose request was asked `ASKED` times in vain.
    """

    def __init__(
        self,
        address: Callable[[], str],
        *,
        max_body_bytes: int,
        body_seconds: float,
        answer_seconds: float,
        on_lost: Callable[[], object] = lambda: None,
        token: str | None = None,
        counted_there: bool = True,
        given_up: Callable[[], ApiError] = _workers_lost,
    ) -> None:
        self._address, self._on_lost, self._given_up = address, on_lost, given_up
        self._token, self._counted_there = token, counted_there and token is not None
        self._limit, self._body_seconds, self._answer_seconds = max_body_bytes, body_seconds, answer_seconds
        self._base = URL()
        self._sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession]  # connections kept, and a new one each time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or start and stop with the server; web sockets are refused."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            try:
                await self.pass_on(scope, receive, send)
            except ClientLeft:
                return
            except ApiError as error:
                await error_response(error)(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.opened():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold connections meanwhile, in the running event loop."""
        self._base = URL(self._address())
        async with _session(keep=True) as kept, _session(keep=False) as new:
            self._sessions = kept, new
            yield

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ApiError: nobody answered it, or the client has left; nothing was sent.
        """
        if refused := refusal(dict(scope["headers"]), self._limit):
            raise refused
        url, headers = self._url(scope), _passed_on(scope)
        headers.update(passed.told(scope, self._token))
        body = await _whole(limited(receive, self._limit, self._body_seconds))
        answering = asyncio.ensure_future(self._answer(scope["method"], url, headers, body, send))
        leaving = asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise ClientLeft("the client left before its answer")
            answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer(self, method: str, url: URL, headers: CIMultiDict[str], body: bytes, send: Send) -> None:
        """Ask until a worker has answered, and pass that back."""
        try:
            async with asyncio.timeout(self._answer_seconds) as limit:
                begun = events = False
                for turn in range(ASKED):
                    session = self._sessions[0 if turn == 0 else 1]
                    try:
                        async with session.request(
                            method, url, headers=headers, data=body or None, allow_redirects=False
                        ) as answer:
                            note(elsewhere=self._counted_there)
                            events = answer.content_type == EVENTS
                            held = b"" if events else await _beginning(answer)
                            if begun := not answer.content.at_eof():
                                limit.reschedule(None)
                            await _reply(answer, held, send)
                            return
                    except _LOST:
                        metrics.worker_lost()
                        self._on_lost()
                        if begun:
                            if events:  # whoever reads them asks for the rest
                                await send({"type": "http.response.body", "body": b""})
                            return
        except TimeoutError as error:
            raise TimedOut(f"no answer within {self._answer_seconds:g} s; try again") from error
        raise self._given_up()

    def _url(self, scope: Scope) -> URL:
        """What is asked for, byte by byte, of the workers and of nobody else."""
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        if not path.startswith("/"):
            raise NotFound(f"{scope['method']} {path[:200]}: Not Found")
        return URL.build(
            scheme=self._base.scheme,
            host=self._base.host or "",
            port=self._base.port,
            path=path,
            query_string=query,
            encoded=True,
        )


def _session(keep: bool) -> aiohttp.ClientSession:
    """A client without limit of connections (workers say themselves when too many wait), cookies or a clock of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=not keep),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        auto_decompress=False,
        skip_auto_headers=_AS_THEY_ARE,
    )


def _passed_on(scope: Scope) -> CIMultiDict[str]:
    """The client's headers, without those of its connection."""
    named = ((name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in scope["headers"])
    headers = CIMultiDict((name, value) for name, value in named if _is_passed_on(name))
    if (own_id := request_id()) is not None:
        headers[REQUEST_ID] = own_id
    headers.setdefault(IDEMPOTENCY_KEY, str(uuid.uuid4()))
    if scope["client"]:
        headers["x-forwarded-for"] = scope["client"][0]
    headers["x-forwarded-proto"] = scope["scheme"]
    return headers


def _is_passed_on(name: str) -> bool:
    return name not in _OF_A_CONNECTION | _SAID_HERE and not name.startswith(passed.PREFIX)


async def _whole(receive: Receive) -> bytes:
    pieces, more = list[bytes](), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft("the client left before its request was complete")
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """All of an answer, but of a large one."""
    held = bytearray()
    async for piece in answer.content.iter_any():
        held += piece
        if len(held) > LARGE:
            break
    return bytes(held)


async def _reply(answer: aiohttp.ClientResponse, held: bytes, send: Send) -> None:
    await _start(answer, send)
    more = not answer.content.at_eof()
    await send({"type": "http.response.body", "body": held, "more_body": more})
    if more:
        async for piece in answer.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _start(answer: aiohttp.ClientResponse, send: Send) -> None:
    headers = [
        (name.lower(), value) for name, value in answer.raw_headers if name.decode("latin-1").lower() not in _OF_A_CONNECTION
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
