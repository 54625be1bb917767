"""How long single answers take."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from models.evaluation.bootstrap import SAMPLES, interval
from models.evaluation.results import Metric

PERCENTILES = (50, 95)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch with one thread, as a worker that serves has it: with more, one answer in ten waits 100 ms for BLAS's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def latency_metrics(milliseconds: Sequence[float], samples: int = SAMPLES) -> dict[str, Metric]:
    """Median and 95th percentile of calls timed one by one, as `latency_p50_ms` and `latency_p95_ms`; no value without calls."""
    return {f"latency_p{q}_ms": interval(partial(_percentile, q=q), milliseconds, samples=samples) for q in PERCENTILES}


def _percentile(values: NDArray[np.float64], q: int) -> float:
    return float(np.percentile(values, q)) if len(values) else float("nan")
