"""The API as a visitor may ask it: with the key that the browser sent, and no other."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Mapping

import gradio as gr

from vitrina_client import AsyncClient, VitrinaError

SECONDS = 600.0
"""Of one answer; the service gives up long before."""


class Service:
    """The service at an address.

    Args:
        address: Where this machine reaches it, such as http://127.0.0.1:3000.
        folder: Where photos lie that the page shows in a form.
    """

    def __init__(self, address: str, folder: str) -> None:
        self.folder = folder
        self._client = AsyncClient(address, timeout=SECONDS, deadline=SECONDS, retries=1)

    def of(self, request: gr.Request) -> AsyncClient:
        """A client with the key of whoever sent `request`."""
        return self._client.options(api_key=key_of(request.headers))


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request holds, which was found good before it came here; None where none is asked for."""
    if (key := headers.get("x-api-key")) is not None:
        return key.strip()
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip() or None
    if kind.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def line_of(error: VitrinaError) -> str:
    """What went wrong, in the API's own line."""
    return error.message if error.field is None or error.field in error.message else f"{error.field}: {error.message}"


async def as_they_come(asked: Mapping[str, Awaitable[object]]) -> AsyncIterator[tuple[str, object]]:
    """Answers by their names, the first first; one that was refused is its `VitrinaError`. Leaving early ends the others."""
    tasks = {asyncio.ensure_future(waiting): name for name, waiting in asked.items()}
    left = set(tasks)
    try:
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is not None and not isinstance(failure, VitrinaError):
                    raise failure
                yield tasks[task], failure or task.result()
    finally:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
