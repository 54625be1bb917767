"""A job: work that was left with the service."""

import math
import sys
import time
from asyncio import sleep
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Generic, TypeVar

import httpx
from pydantic import BaseModel

from vitrina_client import models
from vitrina_client.aio.connection import AsyncConnection, lines
from vitrina_client.batches import Done, Failure
from vitrina_client.errors import ConnectionFailed, JobFailed, RateLimited, Unavailable, Unfinished, broken
from vitrina_client.events import Reader
from vitrina_client.progress import Bar, wanted
from vitrina_client.reading import read, result
from vitrina_client.retries import Tries
from vitrina_client.sending import segment

Answer = TypeVar("Answer", bound=BaseModel)
ENDED = ("succeeded", "partly_failed", "failed", "cancelled")
EVENTS, LINES = "text/event-stream", "application/x-ndjson"
TRANSIENT = (ConnectionFailed, RateLimited, Unavailable)
LOOK_SECONDS = 1.0
"""Between two looks at a job where its events do not come through."""


class AsyncJob(Generic[Answer]):
    """Work that was left with the service, and the way to what comes of it. It goes on without this program.

    Attributes:
        seen: The job when it was last looked at.
    """

    def __init__(self, connection: AsyncConnection, seen: models.Job, answer: type[Answer]) -> None:
        self.seen = seen
        self._connection = connection
        self._answer = answer
        self._path = f"/v1/jobs/{segment(seen.id)}"

    @property
    def id(self) -> str:
        """By which `client.job` finds it again."""
        return self.seen.id

    @property
    def ended(self) -> bool:
        """Whether it had ended when it was last looked at."""
        return self.seen.state in ENDED

    async def refresh(self) -> models.Job:
        """Look at it again."""
        self.seen = await self._connection.ask("GET", self._path, models.Job)
        return self.seen

    async def cancel(self) -> models.Job:
        """End it: what waits is not begun, what is done stays. One that has ended stays as it is."""
        self.seen = await self._connection.ask("DELETE", self._path, models.Job)
        return self.seen

    async def wait(self, *, timeout: float | None = None, progress: bool | None = None) -> models.Job:
        """Wait until it has ended. Items that failed are no error: `failures` names them.

        Args:
            timeout: Seconds; None waits for as long as it takes.
            progress: Draw a bar on standard error; None does where that is a terminal.

        Raises:
            JobFailed: no item could be done, or it was cancelled.
            Unfinished: the time is over; the job goes on.
        """
        with Bar(wanted(progress)) as bar:
            bar.show(self.seen)
            async for seen in self.watch(timeout=timeout):
                bar.show(seen)
        if self.seen.state in ("failed", "cancelled"):
            why = self.seen.detail or f"{self.seen.failed} of {self.seen.items} items failed"
            raise JobFailed(f"job {self.id} {self.seen.state}: {why}", code=f"job_{self.seen.state}")
        return self.seen

    async def watch(self, *, timeout: float | None = None) -> AsyncIterator[models.Job]:
        """The job whenever it has moved on, until it has ended.

        Its events tell; where they break off or do not come through, it is looked at. A service that is away is waited for until
        the client's `deadline`.

        Raises:
            Unfinished: `timeout` seconds are over; the job goes on.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        patience = Tries(replace(self._connection.policy, retries=sys.maxsize))
        last: str | None = None
        while not self.ended:
            patience.begin()
            try:
                async with self._once(self._left(ends)).stream(f"{self._path}/events", headers=_after(last)) as response:
                    reader = Reader()
                    async for line in lines(response):
                        for event in reader.feed(line):
                            last, self.seen = event.id, read(response, models.Job, event.data)
                            yield self.seen
                        patience.moved_on()
                        self._left(ends)
            except (httpx.RequestError, *TRANSIENT):
                pass  # the look below says whether the service is there
            if self.ended:
                return
            before = self.seen
            try:
                self.seen = await self._once(self._left(ends)).ask("GET", self._path, models.Job)
            except TRANSIENT as failure:
                await sleep(min(patience.pause(failure), self._left(ends)))
                continue
            patience.moved_on()
            if self.seen != before:
                yield self.seen
            if not self.ended:
                await sleep(min(LOOK_SECONDS, self._left(ends)))

    def _once(self, seconds: float) -> AsyncConnection:
        """The connection for one try that waits at most so long."""
        policy = self._connection.policy
        return replace(self._connection, policy=replace(policy, retries=0, timeout=min(policy.timeout, seconds)))

    def _left(self, ends: float | None) -> float:
        left = math.inf if ends is None else ends - time.monotonic()
        if left <= 0:
            done = f"{self.seen.done + self.seen.failed} of {self.seen.items} items have ended"
            raise Unfinished(f"job {self.id} goes on: {done}", code="unfinished")
        return left

    async def result(self) -> AsyncIterator[Done[Answer]]:
        """What is done so far, in the order in which it was sent; all of it once the job has ended."""
        async for item in self._items("done"):
            yield Done(item.place, result(item, self._answer))

    async def failures(self) -> AsyncIterator[Failure]:
        """What failed so far, in the order in which it was sent, and why."""
        async for item in self._items("failed"):
            assert item.error is not None, "what failed says why"
            yield Failure(item.place, item.error)

    async def _items(self, state: str) -> AsyncIterator[models.JobItem]:
        """Items that are in `state`; a stream that breaks off is taken up behind its last whole line."""
        start, tries = 0, Tries(self._connection.policy)
        while True:
            tries.begin()
            try:
                query: dict[str, str | int] = {"state": state, "start": start}
                async with self._connection.stream(f"{self._path}/result", query, {"Accept": LINES}) as response:
                    async for line in lines(response):
                        item = read(response, models.JobItem, line)
                        yield item
                        start = item.place + 1
                        tries.moved_on()
                return
            except httpx.RequestError as error:
                await sleep(tries.pause(broken(error)))


def _after(last: str | None) -> dict[str, str]:
    """Headers that ask for the events after the one called `last`."""
    return {"Accept": EVENTS} | ({"Last-Event-ID": last} if last else {})
