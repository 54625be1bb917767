"""How far two sets of images lie apart in the judge's features: Frechet distance (Heusel et al. 2017) and kernel distance.

Both are computed by torchmetrics, whose extractor is the identity: features are at hand. Both depend on how many images there
are, the Frechet distance much: only figures of equally many images compare.

Shapes: n and m images, D features.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

from models.evaluation.bootstrap import LEVEL
from models.evaluation.results import Metric

Features = NDArray[np.floating]
Distance = Callable[[Features, Features], float]

RESAMPLES = 100
"""Behind an interval: one Frechet distance takes some milliseconds."""

BLOCK = 1000
"""Images between which the kernel distance is computed at once; of more, the mean over blocks of so many."""


class _AsTheyAre(nn.Module):
    """Features instead of an Inception net."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet(real: Features, drawn: Features) -> float:
    """Frechet distance of two Gaussians with the means and covariances of features (n, D) and (m, D); NaN below two rows."""
    if min(len(real), len(drawn)) < 2:
        return math.nan
    metric = FrechetInceptionDistance(feature=_AsTheyAre(real.shape[1]))
    metric.update(torch.from_numpy(np.asarray(real, dtype=np.float64)), real=True)
    metric.update(torch.from_numpy(np.asarray(drawn, dtype=np.float64)), real=False)
    return float(metric.compute())


def kernel(real: Features, drawn: Features) -> float:
    """Kernel distance (Binkowski et al. 2018): unbiased squared MMD under the cubic kernel, of features (n, D) and (m, D).

    Of sets of unequal size the first rows count, as many as the smaller has; NaN below two rows.
    """
    rows = min(len(real), len(drawn))
    if rows < 2:
        return math.nan
    blocks = np.array_split(np.arange(rows), max(1, round(rows / BLOCK)))
    found = [poly_mmd(_tensor(real[block]), _tensor(drawn[block])) for block in blocks]
    return float(torch.stack(found).mean())


def _tensor(features: Features) -> Tensor:
    return torch.from_numpy(np.asarray(features, dtype=np.float64))


def distance_interval(distance: Distance, real: Features, drawn: Features) -> Metric:
    """A distance with its interval, resampling the rows of `drawn` (m, D)."""
    found = _interval(partial(distance, real), (drawn,))
    if distance is frechet and found.low is not None:  # it cannot be negative; an unbiased kernel distance can
        return found.model_copy(update={"low": max(0.0, found.low)})
    return found


def difference_interval(distance: Distance, real: Features, drawn: Features, other: Features) -> Metric:
    """The distance of `drawn` less that of `other` from the same real images, whose rows (m, D) are of the same products."""
    return _interval(lambda own, peer: distance(real, own) - distance(real, peer), (drawn, other))


def _interval(statistic: Callable[..., float], arrays: tuple[Features, ...]) -> Metric:
    """Percentile bootstrap, moved onto the estimate: a resample has fewer different images, which adds to both distances."""
    rows, value = len(arrays[0]), statistic(*arrays)
    if not math.isfinite(value):
        return Metric(value=None, n=rows)
    rng = np.random.default_rng(0)
    draws = np.array([statistic(*(a[index] for a in arrays)) for index in rng.integers(0, rows, size=(RESAMPLES, rows))])
    low, high = np.quantile(draws[np.isfinite(draws)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) + value - np.nanmean(draws)
    return Metric(value=value, low=float(low), high=float(high), n=rows)
