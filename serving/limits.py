"""Bodies are cut off at a fixed size, whether or not the client declares a length, and at a fixed time."""

import asyncio
import re
from collections.abc import Coroutine, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError, ClientLeft, InvalidInput, TimedOut, TooLarge, TooSlow, UnsupportedMediaType, error_response

Result = TypeVar("Result")

_receive: ContextVar[Receive | None] = ContextVar("receive", default=None)
"""Of the request that is being answered."""
_WAIT = re.compile(rb"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:$|[,;])")


class BodyLimit:
    """ASGI middleware.

    413 for a declared length above `limit` bytes at once, and for a streamed body as soon as it passes it; 408 for a body
    that is not complete after `seconds`.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self.app = app
        self.limit = limit
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = refusal(dict(scope["headers"]), self.limit)
        if refused is not None:
            await error_response(refused)(scope, receive, send)
            return
        receive = limited(receive, self.limit, self.seconds)
        _receive.set(receive)
        await self.app(scope, receive, send)


class Deadline:
    """ASGI middleware: where a client says `Prefer: wait=N` it gets 504 after N seconds, and its work ends.

    Together with `respond-async` it means something else (RFC 7240) and is left to the route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        seconds = patience(scope["headers"]) if scope["type"] == "http" else None
        if seconds is None:
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(seconds) as limit:

                async def begun(message: Message) -> None:
                    limit.reschedule(None)  # it came in time; a stream may go on
                    await send(message)

                await self.app(scope, receive, begun)
        except TimeoutError:
            if not limit.expired():
                raise
            await error_response(TimedOut(f"no answer within the {seconds} s that the client waits"))(scope, receive, send)


def patience(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """Seconds that a client says it waits for its answer."""
    said = b",".join(value for name, value in headers if name == b"prefer").lower()
    if not said or b"respond-async" in said:
        return None
    found = _WAIT.search(said)
    return max(1, int(found[1])) if found else None


def refusal(headers: Mapping[bytes, bytes], limit: int) -> ApiError | None:
    """Why a body is not read at all, from what its headers say of it."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        return UnsupportedMediaType("compressed request bodies are not read; send it without Content-Encoding")
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit():
        return InvalidInput("Content-Length is not a number")
    return TooLarge(limit) if int(declared[:20]) > limit else None


def limited(receive: Receive, limit: int, seconds: float) -> Receive:
    """`receive` for one request; it raises `TooLarge` or `TooSlow`."""
    received, complete = 0, False
    deadline = asyncio.get_running_loop().time() + seconds

    async def counted() -> Message:
        nonlocal received, complete
        try:
            async with asyncio.timeout_at(None if complete else deadline):
                message = await receive()
        except TimeoutError as error:
            raise TooSlow(seconds) from error
        received += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if received > limit:
            raise TooLarge(limit)
        return message

    return counted


async def while_waited_for(call: Coroutine[Any, Any, Result]) -> Result:
    """What `call` returns; it is cancelled when the client of this request closes its connection.

    The whole body has been read before.

    Raises:
        ClientLeft: the client did.
    """
    receive = _receive.get()
    if receive is None:
        return await call
    answering, leaving = asyncio.ensure_future(call), asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientLeft("the client left before its answer")
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()


async def gone(receive: Receive) -> None:
    """Return when the client closes its connection; `receive` has given the whole body before."""
    while (await receive())["type"] != "http.disconnect":
        pass
