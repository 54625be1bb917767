"""Server-sent events of a job: one whenever it has moved on, and a last one when it has ended."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from database.errors import NotFound
from database.jobs import Job, find
from serving.errors import Unavailable
from serving.jobs.schemas import ended, job
from serving.limits import gone
from serving.requests import EVENTS
from serving.storage import ask

LAST = "Last-Event-ID"
SHORTEST, LONGEST, SLOWER = 0.25, 2.0, 1.5
"""Seconds between two looks at a job; each look that finds nothing new makes the next one wait longer by a factor."""


class Streams:
    """The event streams of this process, of which there are at most `limit`; they end when it is told to stop.

    A server that stops waits for answers in flight, and these would go on for as long as their jobs.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[asyncio.Event] = set()

    def listen(self) -> Callable[[], object]:
        """Listen to SIGTERM and SIGINT before the server does, where this is its main thread; returns what ends that."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        loop, before = asyncio.get_running_loop(), {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}

        def stop(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.end)
            known = before[signal.Signals(number)]
            if callable(known):
                known(number, frame)

        for name in before:
            signal.signal(name, stop)
        return lambda: [signal.signal(name, known) for name, known in before.items()]

    def end(self) -> None:
        """Let all of them end."""
        for stopped in self._open:
            stopped.set()

    @contextmanager
    def one(self) -> Iterator[asyncio.Event]:
        """A place for a stream, and what is set when it has to end.

        Raises:
            Unavailable: as many as are allowed are open.
        """
        if len(self._open) >= self._limit:
            raise Unavailable("too_many_streams", f"{self._limit} clients watch jobs already; ask GET /v1/jobs/{{id}}", 5)
        stopped = asyncio.Event()
        self._open.add(stopped)
        try:
            yield stopped
        finally:
            self._open.discard(stopped)


def event_id(found: Job) -> str:
    """Names what an event says of a job; the same for as long as there is nothing new."""
    return f"{found.state}-{found.done}-{found.failed}"


class Watch(Response):
    """The events of one job until it has ended, its client has left or the process stops. No thread waits for it.

    Args:
        found: The job as it is now.
        seen: Id of the last event that the client got before it came back; what it says is not sent again.
        heartbeat_seconds: Longest silence; then a comment is sent, so that proxies keep the connection.
    """

    media_type = EVENTS

    def __init__(self, streams: Streams, url: str, found: Job, seen: str | None, heartbeat_seconds: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams, self._url, self._found, self._seen = streams, url, found, seen
        self._heartbeat_seconds = heartbeat_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is."""

        async def piece(data: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        with self._streams.one() as stopped:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            leaving = asyncio.ensure_future(gone(receive))
            stopping = asyncio.ensure_future(stopped.wait())
            try:
                await self._watch({leaving, stopping}, piece)
                if not leaving.done():
                    await piece(b"", more=False)
            finally:
                leaving.cancel()
                stopping.cancel()

    async def _watch(self, ending: set[asyncio.Future[Any]], piece: Callable[[bytes], Any]) -> None:
        clock = asyncio.get_running_loop().time
        await piece(b"retry: 1000\n\n")
        spoken, wait = clock(), SHORTEST
        while True:
            if (name := event_id(self._found)) != self._seen:
                await piece(_event(self._found))
                self._seen, spoken, wait = name, clock(), SHORTEST
            if ended(self._found):
                return
            if clock() - spoken >= self._heartbeat_seconds:
                await piece(b": still here\n\n")
                spoken = clock()
            over, _ = await asyncio.wait(ending, timeout=min(wait, self._heartbeat_seconds), return_when=asyncio.FIRST_COMPLETED)
            if over:
                return
            wait = min(wait * SLOWER, LONGEST)
            try:
                self._found = await ask(find, self._url, self._found.id)
            except Unavailable:  # the database is away: there is nothing new for now
                continue
            except NotFound:  # forgotten meanwhile
                return


def _event(found: Job) -> bytes:
    kind = "ended" if ended(found) else "progress"
    return f"event: {kind}\nid: {event_id(found)}\ndata: {job(found).model_dump_json()}\n\n".encode()
