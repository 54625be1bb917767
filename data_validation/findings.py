"""Columns of findings: null where all is well, what is wrong where it is not."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd


def finding(where: "pd.Series[Any]", what: "str | pd.Series[Any]") -> "pd.Series[Any]":
    """`what` in the rows `where`, null elsewhere; a series may lack the rows that are not in `where`."""
    found: pd.Series[Any] = pd.Series(what, where.index, dtype=object)
    found[~where.fillna(False).astype(bool)] = None
    return found


def nothing(index: "pd.Index[Any]") -> "pd.Series[Any]":
    """No finding in any row."""
    return pd.Series(None, index, dtype=object)


def texts(key: "pd.Series[Any]") -> "pd.Series[Any]":
    """Keys as text, so that 5 and "5" are the same product; integers are read as floats where some are missing."""
    whole = key.astype("Int64") if pd.api.types.is_float_dtype(key.dtype) else key
    return whole.astype("string").astype(object)


def absent(key: "pd.Series[Any]", known: Collection[str]) -> "pd.Series[bool]":
    """Where a key that is given is not among the texts `known`."""
    distinct = pd.Series(key.dropna().unique())
    return key.isin(distinct[~texts(distinct).isin(known)])


def repeats(key: "pd.Series[Any]") -> "pd.Series[Any]":
    """Where a key that is given was given before."""
    again = key.duplicated() & key.notna()
    return finding(again, "repeats " + texts(key[again]))


def by_value(values: "pd.Series[Any]", what: Callable[[Any], Any]) -> "pd.Series[Any]":
    """`what` of each value, asked once a distinct value; a missing value stays missing."""
    codes, distinct = pd.factorize(values)
    answers = np.empty(len(distinct) + 1, dtype=object)  # the last stays None, and is what code -1 of missing values finds
    answers[:-1] = [what(value) for value in distinct]
    return pd.Series(answers[codes], values.index)
