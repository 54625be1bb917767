"""Columns of findings: null where all is well, what is wrong where it is not."""

from collections.abc import Collection
from typing import Any

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
