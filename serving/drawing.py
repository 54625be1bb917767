"""An image on request: one drawing that ends where nobody waits for it any more, or where its time is up."""

import asyncio
import threading
from dataclasses import replace

from starlette.types import Receive

from models.imagegen.answers import Cancelled, Prompt
from serving.context import Context
from serving.errors import ClientLeft, TimedOut
from serving.limits import gone
from serving.slots import Answer


async def draw(context: Context, model: str, prompt: Prompt, receive: Receive) -> Answer:
    """The drawing of `prompt` by `model`, within `images.seconds`; waiting for its turn counts.

    The computation ends at its next step when the client leaves, when the time is up and when the server stops; a prompt that
    still waits is then never begun. `receive` has given the whole body before.

    Raises:
        ClientLeft: the client closed its connection.
        TimedOut: it took longer.
        ApiError: see `ServedModel.predict`.
    """
    ended, seconds = threading.Event(), context.config.images.seconds

    def watch(done: int, steps: int) -> None:
        if ended.is_set():
            raise Cancelled(f"nobody waits for this image any more, after {done} of {steps} steps")

    drawing = asyncio.ensure_future(context.models[model].predict([replace(prompt, watch=watch)]))
    leaving = asyncio.ensure_future(gone(receive))
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait({drawing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not drawing.done():
            raise ClientLeft("the client left before its image was drawn")
        [answer] = drawing.result()
        return answer
    except TimeoutError as error:
        raise TimedOut(f"no image within {seconds:g} s; ask for fewer steps or candidates, or try again") from error
    finally:
        ended.set()
        drawing.cancel()
        leaving.cancel()
