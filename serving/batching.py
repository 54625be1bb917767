"""Adaptive micro-batching: requests that wait together run together.

While one batch runs, the next one fills; so under load batches grow by themselves and nobody waits on purpose. When the
model is idle, the first item waits for company only as long as recent batches suggest that company comes, and never
longer than `max_wait`. A lone client therefore pays no wait, and a burst still shares forward passes.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.errors import ApiError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

_MEMORY = 0.8
"""Weight of the past in the running mean of batch sizes."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One call of `run`; times are of `time.monotonic`.

    Attributes:
        arrived: When each item was handed over.
        waiting: Items that wait for a later call.
        within: For each item what `Batcher.within` gave when it was handed over.
    """

    arrived: Sequence[float]
    begun: float
    ended: float
    waiting: int
    within: Sequence[object]


class Batcher(Generic[Item, Result]):
    """Groups single items into calls of `run`, in arrival order, one call at a time in its own thread.

    Args:
        run: Items in, one result an item out, in order. When it raises, the batch is halved until the item at fault
            stands alone: only that one fails. An `ApiError` is no item's fault: all of them fail.
        max_size: Items a call at most.
        max_wait: Longest wait for company, in seconds.
        max_queue: Items waiting at most; beyond it `submit` raises Unavailable (503). What nobody waits for any more is not
            counted.
        retry_after: Seconds after which a client should then ask again.
        observe: Told of every call.
        within: Asked at every submission, for `Ran.within`.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        max_size: int,
        max_wait: float,
        max_queue: int,
        retry_after: int = 1,
        observe: Callable[[Ran], None] = lambda _: None,
        within: Callable[[], object] = lambda: None,
    ) -> None:
        self._run = run
        self._max_size = max_size
        self._max_wait = max_wait
        self._max_queue = max_queue
        self._retry_after = retry_after
        self._observe, self._within = observe, within
        self._waiting: deque[tuple[Item, asyncio.Future[Result], float, object]] = deque()
        self._running: list[tuple[Item, asyncio.Future[Result], float, object]] = []
        self._arrived = asyncio.Event()
        self._usual = 1.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to run batches, in the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def stop(self) -> None:
        """Stop; who still waits gets Unavailable."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for _, future, _, _ in (*self._running, *self._waiting):
            if not future.done():
                future.set_exception(Unavailable("shutting_down", "the server is shutting down"))
        self._waiting.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def submit(self, items: Sequence[Item]) -> list[Result]:
        """The results of `items`; raises the first item's error, or Unavailable when the queue is full."""
        results: list[Result] = []
        for outcome in await self.outcomes(items):
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return results

    async def outcomes(self, items: Sequence[Item]) -> list[Result | BaseException]:
        """For each of `items` its result, or the error that it ran into; raises Unavailable when the queue is full."""
        if len(self._waiting) + len(items) > self._max_queue:
            full = f"more than {self._max_queue} items are waiting; try again"
            raise Unavailable("overloaded", full, retry_after_seconds=self._retry_after)
        loop, now, within = asyncio.get_running_loop(), time.monotonic(), self._within()
        futures: list[asyncio.Future[Result]] = [loop.create_future() for _ in items]
        self._waiting.extend((item, future, now, within) for item, future in zip(items, futures, strict=True))
        self._arrived.set()
        try:
            return await asyncio.gather(*futures, return_exceptions=True)
        except asyncio.CancelledError:  # the client went away: its items give their places back
            self._waiting = deque(entry for entry in self._waiting if not entry[1].done())
            raise

    async def _serve(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            await self._company()
            size = min(len(self._waiting), self._max_size)
            self._running = batch = [entry for entry in (self._waiting.popleft() for _ in range(size)) if not entry[1].done()]
            if not batch:
                continue
            self._usual = _MEMORY * self._usual + (1 - _MEMORY) * len(batch)
            begun = time.monotonic()
            outcomes = await self._outcomes([item for item, *_ in batch])
            ended = time.monotonic()
            for (_, future, *_), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # the client went away
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
            arrived, within = [entry[2] for entry in batch], [entry[3] for entry in batch]
            self._observe(Ran(arrived, begun, ended, len(self._waiting), within))

    async def _company(self) -> None:
        """Wait until as many as usual are here, or the oldest has waited `max_wait`."""
        wanted = min(round(self._usual), self._max_size)
        deadline = self._waiting[0][2] + self._max_wait
        while len(self._waiting) < wanted and (left := deadline - time.monotonic()) > 0:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrived.wait()

    async def _outcomes(self, items: Sequence[Item]) -> list[Result | BaseException]:
        call = asyncio.get_running_loop().run_in_executor(self._pool, self._run, items)
        [answer] = await asyncio.gather(call, return_exceptions=True)
        if not isinstance(answer, BaseException):
            assert len(answer) == len(items), f"{len(answer)} results for {len(items)} items"
            return list(answer)
        if len(items) == 1 or isinstance(answer, ApiError):
            return [answer] * len(items)
        middle = len(items) // 2
        return await self._outcomes(items[:middle]) + await self._outcomes(items[middle:])
