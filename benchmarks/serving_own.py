"""The model by itself, for `benchmarks.serving`: listings a second in the best size of batches, without a server."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.serving_peers import load, read

SIZES = (1, 8, 16, 32, 64)
SECONDS = 4.0
"""Of each size."""

_state: dict[str, Any] = {}


@contextmanager
def own(bundle: Path, bodies: Sequence[bytes]) -> Iterator[Callable[[], dict[int, float]]]:
    """A call that measures: listings a second by size of batches, read and decoded beforehand, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1, initializer=_begin, initargs=(str(bundle), tuple(bodies))) as pool:
        yield lambda: pool.apply(_measure)


def _begin(bundle: str, bodies: tuple[bytes, ...]) -> None:
    os.environ["BUNDLE"] = bundle
    _state["predictor"], _state["listings"] = load(), [read(body) for body in bodies]


def _measure() -> dict[int, float]:
    predictor, listings, found = _state["predictor"], _state["listings"], dict[int, float]()
    for size in SIZES:
        done, begun, start = 0, time.perf_counter(), 0
        while (seconds := time.perf_counter() - begun) < SECONDS:
            batch = listings[start : start + size]
            start = start + size if start + 2 * size <= len(listings) else 0
            predictor.predict(batch)
            done += len(batch)
        found[size] = done / seconds
    return found
