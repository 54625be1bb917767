"""Challenger against champion: differences with their 95 % intervals, on the same rows where there are any."""

import math
from typing import Literal

import pandas as pd

from models.evaluation.results import Metric

Better = Literal["higher", "lower"]
Reading = Literal["better", "worse", "unclear"]
Z95 = 1.959964  # half a 95 % interval of the normal distribution, in standard errors


def shared_rows(challenger: pd.DataFrame, champion: pd.DataFrame, key: str = "product_id") -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that both frames predict, in one order and with one index. Rows whose key repeats are left out."""
    frames = [f.drop_duplicates(key, keep=False).set_index(key) for f in (challenger, champion)]
    common = frames[0].index.intersection(frames[1].index)
    return frames[0].loc[common], frames[1].loc[common]


def independent_difference(challenger: Metric, champion: Metric) -> Metric:
    """Difference of two metrics from their intervals alone, as if measured on different rows.

    Normal approximation. Where the rows were the same, the true interval is narrower: this errs on the side of "not clear".
    No interval where one of the two has none; no value where one could not be measured.
    """
    if challenger.value is None or champion.value is None:
        return Metric(value=None)
    value, rows = challenger.value - champion.value, min(challenger.n, champion.n)
    widths = [m.high - m.low for m in (challenger, champion) if m.high is not None and m.low is not None]
    if len(widths) < 2:
        return Metric(value=value, n=rows)
    error = math.hypot(*(width / (2 * Z95) for width in widths))
    return Metric(value=value, low=value - Z95 * error, high=value + Z95 * error, n=rows)


def reading(difference: Metric, better: Better | None) -> Reading | None:
    """What a difference (challenger minus champion) means; None where it has no interval or the metric no direction."""
    if difference.low is None or difference.high is None or better is None:
        return None
    if difference.low <= 0.0 <= difference.high:
        return "unclear"
    return "better" if (difference.low > 0.0) == (better == "higher") else "worse"
