"""The parts of a catalogue on which a model is measured separately."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from models.evaluation.results import Metric, SliceMetric

NO_PRICE = "no price"
NO_BRAND = "no brand"


@dataclass(frozen=True)
class PriceBands:
    """Price ranges with round limits that hold about equally many products each.

    Attributes:
        edges: Ascending limits between bands; k edges make k + 1 bands.
    """

    edges: tuple[float, ...]

    @classmethod
    def fit(cls, prices: ArrayLike, bands: int = 5) -> Self:
        """Limits at the quantiles of the prices > 0, rounded to a readable figure; fewer bands where they coincide."""
        known = np.asarray(prices, dtype=float)
        known = known[np.isfinite(known) & (known > 0)]
        if not len(known):
            return cls(())
        limits = {_readable(float(q)) for q in np.quantile(known, np.arange(1, bands) / bands)}
        return cls(tuple(sorted(limit for limit in limits if known.min() < limit <= known.max())))

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each band, cheapest first."""
        if not self.edges:
            return ("any price",)
        whole = all(edge == int(edge) and edge >= 10 for edge in self.edges)
        inner = [f"{a:g}–{b - 1 if whole else b:g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (f"under {self.edges[0]:g}", *inner, f"{self.edges[-1]:g} and over")

    def label(self, prices: pd.Series) -> pd.Series:
        """Band of each price, an ordered category; `NO_PRICE`, the last, where it is missing or not positive."""
        values = prices.to_numpy(dtype=float, na_value=np.nan)
        names = np.array(self.labels, dtype=object)[np.searchsorted(self.edges, np.nan_to_num(values), side="right")]
        bands = pd.Categorical(np.where(values > 0, names, NO_PRICE), categories=[*self.labels, NO_PRICE], ordered=True)
        return pd.Series(bands, index=prices.index, name="price_band")


def head_brands(training_brands: pd.Series, share: float = 0.5) -> frozenset[str]:
    """The most frequent brands that together hold at least `share` of the training rows with a brand."""
    counts = training_brands.dropna().value_counts()
    rows = counts.to_numpy(dtype=float)
    before = rows.cumsum() - rows
    return frozenset(str(brand) for brand in counts.index[before < share * rows.sum()])


def brand_tier(brands: pd.Series, head: frozenset[str]) -> pd.Series:
    """head, tail or `NO_BRAND` for each row."""
    tier = np.where(brands.isna(), NO_BRAND, np.where(brands.isin(head), "head", "tail"))
    return pd.Series(tier, index=brands.index, name="brand_tier", dtype=object)


def slice_metrics(
    frame: pd.DataFrame,
    columns: Sequence[str],
    statistics: Mapping[str, Callable[[pd.DataFrame], Metric]],
    min_rows: int,
) -> tuple[SliceMetric, ...]:
    """Every statistic on every value of every column that has at least `min_rows` rows.

    A statistic gets the rows of the slice. Values come in ascending order or, for categories, in theirs. Truth values
    read yes and no; missing values form no slice.
    """
    found = []
    for column in columns:
        for value, rows in frame.groupby(column, sort=True, observed=True):
            if len(rows) < min_rows:
                continue
            name = ("yes" if value else "no") if isinstance(value, bool | np.bool_) else str(value)
            found += [SliceMetric(slice=column, value=name, metric=m, result=f(rows)) for m, f in statistics.items()]
    return tuple(found)


def _readable(value: float) -> float:
    """`value` rounded to 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten, whichever is nearest."""
    power = 10.0 ** np.floor(np.log10(value))
    steps = np.array([1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0])
    return float(f"{steps[np.abs(steps - value / power).argmin()] * power:.6g}")
