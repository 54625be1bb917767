"""Bodies are cut off at a fixed size, whether or not the client declares a length, and at a fixed time."""

import asyncio
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import ApiError, InvalidInput, TooLarge, TooSlow, UnsupportedMediaType, error_response


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
        await self.app(scope, limited(receive, self.limit, self.seconds), send)


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


async def gone(receive: Receive) -> None:
    """Return when the client closes its connection; `receive` has given the whole body before."""
    while (await receive())["type"] != "http.disconnect":
        pass
