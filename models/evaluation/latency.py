"""How long single answers take."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.evaluation.bootstrap import SAMPLES, interval
from models.evaluation.results import Metric

PERCENTILES = (50, 95)


def latency_metrics(milliseconds: Sequence[float], samples: int = SAMPLES) -> dict[str, Metric]:
    """Median and 95th percentile of calls timed one by one, as `latency_p50_ms` and `latency_p95_ms`; no value without calls."""
    return {f"latency_p{q}_ms": interval(partial(_percentile, q=q), milliseconds, samples=samples) for q in PERCENTILES}


def _percentile(values: NDArray[np.float64], q: int) -> float:
    return float(np.percentile(values, q)) if len(values) else float("nan")
