"""What has changed in a column, in words that a person can check; whether it matters is for the tests to say."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from monitoring.verdict import Kind

_WORD = re.compile(r"[^\W\d_]{3,}")
_SAME_PLACE = 0.1
"""Medians closer than this share of the reference's interquartile range are told by the ranges instead."""

_SMALL = 0.001
_LABEL_LENGTH = 40


def change(kind: Kind, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> str:
    """The largest change between two samples without missing values; empty for vectors, which no phrase describes."""
    if kind == "numerical":
        return _of_numbers(reference.to_numpy(dtype=np.float64), current.to_numpy(dtype=np.float64))
    if kind == "categorical":
        value, before, now = _most_changed(*(part.astype(str).value_counts(normalize=True) for part in (reference, current)))
        return f"{_short(value)} in {before:.0%} of rows before, {now:.0%} now"
    if kind == "text":
        word, before, now = _most_changed(*(_shares_of_words(part) for part in (reference, current)))
        return f"the word {_short(word)} in {before:.0%} of texts before, {now:.0%} now" if word else ""
    return ""


def change_of_missing(reference: float, current: float) -> str:
    """Of the shares of rows without a value."""
    return f"no value in {reference:.0%} of rows before, {current:.0%} now"


def _of_numbers(reference: "np.ndarray[Any, Any]", current: "np.ndarray[Any, Any]") -> str:
    (low, middle, high), (low_now, middle_now, high_now) = (np.quantile(part, [0.25, 0.5, 0.75]) for part in (reference, current))
    if abs(middle - middle_now) > _SAME_PLACE * (high - low):
        return f"median {_figure(middle)} before, {_figure(middle_now)} now"
    before, now = (f"between {_figure(a)} and {_figure(b)}" for a, b in ((low, high), (low_now, high_now)))
    return f"half {before} before, {now} now"


def _figure(value: float) -> str:
    """Three digits, without powers of ten."""
    if 0 < abs(value) < _SMALL:
        return f"{'<' if value > 0 else '>'} {np.sign(value) * _SMALL:g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _shares_of_words(texts: "pd.Series[Any]") -> "pd.Series[float]":
    """In which share of texts each word occurs."""
    counts = Counter(word for text in texts.astype(str) for word in set(_WORD.findall(text.lower())))
    return pd.Series(counts, dtype=float) / max(len(texts), 1)


def _most_changed(reference: "pd.Series[float]", current: "pd.Series[float]") -> tuple[str, float, float]:
    """Value whose share differs most, the first in alphabetical order of equals, and both shares."""
    both = pd.DataFrame({"before": reference, "now": current}).fillna(0.0).sort_index()
    if both.empty:
        return "", 0.0, 0.0
    value = (both["before"] - both["now"]).abs().idxmax()
    before, now = both.loc[[value]].to_numpy(dtype=np.float64)[0]
    return str(value), float(before), float(now)


def _short(value: str) -> str:
    return f"“{value if len(value) <= _LABEL_LENGTH else value[: _LABEL_LENGTH - 1] + '…'}”"
