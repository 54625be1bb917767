"""95 % intervals by the percentile bootstrap over rows (Efron & Tibshirani 1993, chapter 13).

Resamples depend on the seed and the number of rows only, so two statistics of the same rows are resampled together.
A statistic that is NaN, or has no rows, gives a `Metric` without a value: a gate on it fails.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from models.evaluation.metrics import expected_calibration_error, label_codes, macro_f1_of_codes, roc_auc
from models.evaluation.results import Metric

SAMPLES = 500
LEVEL = 0.95

CHUNK_CELLS = 4_000_000  # resampled rows held at once


def interval(statistic: Callable[..., float], *arrays: ArrayLike, samples: int = SAMPLES, seed: int = 0) -> Metric:
    """`statistic(*arrays)` with its interval, resampling rows of all arrays together (paired).

    The statistic runs once a resample: give it integer codes, not strings. Per-row means are faster by `mean_interval`.
    """
    return _interval(statistic, arrays, samples, seed)


def mean_interval(per_row_values: ArrayLike, samples: int = SAMPLES, seed: int = 0) -> Metric:
    """Mean of the values [n] with its interval: accuracy from 0/1, a paired difference from differences."""
    values = np.asarray(per_row_values, dtype=np.float64)
    rows = len(values)
    if not rows or not np.isfinite(values).all():
        return Metric(value=None, n=rows)
    draws = np.concatenate([values[index].mean(axis=1) for index in _resamples(rows, samples, seed)])
    return _metric(float(values.mean()), draws, rows)


def rmsle_interval(true: ArrayLike, predicted: ArrayLike, samples: int = SAMPLES, seed: int = 0) -> Metric:
    """Root mean squared difference of log(1 + x); the interval is that of the mean square, as the root is monotone."""
    squares = (np.log1p(np.asarray(predicted, dtype=float)) - np.log1p(np.asarray(true, dtype=float))) ** 2
    mean = mean_interval(squares, samples, seed)
    value, low, high = (None if x is None else math.sqrt(x) for x in (mean.value, mean.low, mean.high))
    return Metric(value=value, low=low, high=high, n=mean.n)


def macro_f1_interval(true: ArrayLike, predicted: ArrayLike, samples: int = SAMPLES, seed: int = 0) -> Metric:
    """Macro F1 with its interval, corrected for the bootstrap's bias (a resample loses rare classes)."""
    true_codes, predicted_codes, classes = label_codes(true, predicted)

    def statistic(t: NDArray[np.int64], p: NDArray[np.int64]) -> float:
        return macro_f1_of_codes(t, p, classes)

    return _interval(statistic, (true_codes, predicted_codes), samples, seed, centre=True)


def auc_interval(scores: ArrayLike, truth: ArrayLike, samples: int = SAMPLES, seed: int = 0) -> Metric:
    """Area under the ROC curve of scores [n] for truth [n] in {0, 1}, with its interval; no value where one class is absent."""
    return _interval(roc_auc, (scores, np.asarray(truth, dtype=bool)), samples, seed)


def calibration_error_interval(
    confidence: ArrayLike, correct: ArrayLike, samples: int = SAMPLES, seed: int = 0, bins: int = 15
) -> Metric:
    """Expected calibration error with its interval, corrected for the bootstrap's bias (resampling adds noise to every bin)."""

    def statistic(scores: NDArray[np.float64], hits: NDArray[np.float64]) -> float:
        return expected_calibration_error(scores, hits, bins)

    return _interval(statistic, (confidence, correct), samples, seed, centre=True)


def totals_interval(
    statistic: Callable[[NDArray[np.float64]], float], table: csr_matrix, samples: int = SAMPLES, seed: int = 0
) -> Metric:
    """`statistic` in [0, 1] of the column sums [c] of a sparse table [n, c], with its interval, resampling rows.

    Corrected for the bootstrap's bias: a resample loses columns that few rows have.
    """
    rows = table.shape[0]
    value = statistic(np.asarray(table.sum(axis=0), dtype=np.float64).ravel()) if rows else math.nan
    if not math.isfinite(value):
        return Metric(value=None, n=rows)
    turned = table.T.tocsr()
    draws: list[float] = []
    for index in _resamples(rows, samples, seed):
        offset = np.arange(len(index))[:, None] * rows
        times = np.bincount((index + offset).ravel(), minlength=index.size).reshape(index.shape)
        draws += [statistic(column) for column in (turned @ times.T.astype(np.float64)).T]
    return _metric(value, _centred(np.array(draws), value), rows)


def _interval(
    statistic: Callable[..., float], arrays: tuple[ArrayLike, ...], samples: int, seed: int, centre: bool = False
) -> Metric:
    """`centre` moves the resampled distribution onto the estimate and cuts it to [0, 1]."""
    columns = [np.asarray(a) for a in arrays]
    rows = len(columns[0])
    if any(len(c) != rows for c in columns):
        raise ValueError(f"arrays differ in length: {[len(c) for c in columns]}")
    value = statistic(*columns) if rows else math.nan
    if not math.isfinite(value):
        return Metric(value=None, n=rows)
    draws = np.array([statistic(*(c[row] for c in columns)) for index in _resamples(rows, samples, seed) for row in index])
    return _metric(value, _centred(draws, value) if centre else draws, rows)


def _centred(draws: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """The draws that are finite, moved so that their mean is `value`, cut to [0, 1]."""
    finite = draws[np.isfinite(draws)]
    moved: NDArray[np.float64] = np.clip(finite + value - finite.mean(), 0.0, 1.0) if len(finite) else finite
    return moved


def _resamples(rows: int, samples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers [chunk, rows] drawn with replacement, `samples` in all."""
    generator = np.random.default_rng(seed)
    step = max(1, CHUNK_CELLS // rows)
    for start in range(0, samples, step):
        yield generator.integers(0, rows, size=(min(step, samples - start), rows), dtype=np.int64)


def _metric(value: float, draws: NDArray[Any], rows: int) -> Metric:
    """The percentile interval of the draws that are finite."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return Metric(value=value, n=rows)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Metric(value=float(value), low=float(low), high=float(high), n=rows)
