"""Bodies are cut off at a fixed size, whether or not the client declares a length, and at a fixed time."""

import asyncio

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
        headers = dict(scope["headers"])
        refusal = self._refuse(headers)
        if refusal is not None:
            await error_response(refusal)(scope, receive, send)
            return
        received, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self.seconds

        async def counted() -> Message:
            nonlocal received, complete
            try:
                async with asyncio.timeout_at(None if complete else deadline):
                    message = await receive()
            except TimeoutError as error:
                raise TooSlow(self.seconds) from error
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self.limit:
                raise TooLarge(self.limit)
            return message

        await self.app(scope, counted, send)

    def _refuse(self, headers: dict[bytes, bytes]) -> ApiError | None:
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return UnsupportedMediaType("compressed request bodies are not read; send it without Content-Encoding")
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit():
            return InvalidInput("Content-Length is not a number")
        return TooLarge(self.limit) if int(declared[:20]) > self.limit else None
