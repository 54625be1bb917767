"""Clients of an HTTP server in a process of their own: each sends a request, waits for its answer, and sends the next.

HTTP/1.1 over asyncio's streams, requests made beforehand and answers not parsed, so that clients take little of the cores that
the server is measured on; how much they took is told.
"""

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.pool import Pool


@dataclass(frozen=True)
class Load:
    """What clients saw.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Seconds of each request that was answered by 200.
        statuses: How often each status was answered; 0 where the connection broke.
        client_seconds: CPU time that the clients took.
    """

    seconds: float
    latencies: tuple[float, ...]
    statuses: dict[int, int]
    client_seconds: float

    @property
    def per_second(self) -> float:
        """Requests answered by 200."""
        return len(self.latencies) / self.seconds


def request(path: str, body: bytes, method: str = "POST", kind: str = "application/json") -> bytes:
    """A whole request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextmanager
def clients() -> Iterator[Pool]:
    """The process of the clients."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


def load(pool: Pool, port: int, requests: Sequence[bytes], count: int, at_once: int) -> Load:
    """Send `count` of the requests, in turn, from `at_once` clients of 127.0.0.1."""
    found: Load = pool.apply(_load, (port, tuple(requests), count, at_once))
    return found


def _load(port: int, requests: tuple[bytes, ...], count: int, at_once: int) -> Load:
    return asyncio.run(_clients(port, requests, count, at_once))


async def _clients(port: int, requests: tuple[bytes, ...], count: int, at_once: int) -> Load:
    turns, latencies, statuses = iter(range(count)), list[float](), Counter[int]()

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        try:
            for turn in turns:
                start = time.perf_counter()
                writer.write(requests[turn % len(requests)])
                status, closes = await _answer(reader)
                statuses[status] += 1
                if status == 200:
                    latencies.append(time.perf_counter() - start)
                if closes:
                    writer.close()
                    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        finally:
            writer.close()

    begun, took = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(at_once)))
    seconds, client_seconds = time.perf_counter() - begun, time.process_time() - took
    return Load(seconds, tuple(latencies), dict(statuses), client_seconds)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether the connection is closed after it; the body is read and thrown away."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        start = head.find(b"\r\ncontent-length:")
        if start >= 0:
            length = head[start + 17 : head.find(b"\r\n", start + 2)]
            await reader.readexactly(int(length))
        elif b"transfer-encoding: chunked" in head:
            while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0, True
    return int(head[9:12]), b"connection: close" in head
