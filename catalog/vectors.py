"""Columns that hold a vector in each row: lists of numbers, all of one length, read as float32."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.types as t
from numpy.typing import NDArray

MISSING = -1
"""Length of a vector that is not there."""


@dataclass(frozen=True)
class Vectors:
    """A piece of such a column.

    Attributes:
        lengths: [n], `MISSING` where there is no vector.
        finite: [n], no value of the vector is missing, NaN or infinite.
        values: float32, those of all vectors one after another.
    """

    lengths: NDArray[np.int64]
    finite: NDArray[np.bool_]
    values: NDArray[np.float32]

    @classmethod
    def of(cls, column: pa.Array) -> "Vectors":
        """From an array of any type for which `holds_vectors`."""
        lists = column.cast(pa.list_(pa.float32()), safe=False)
        lengths = lists.value_lengths().fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int64)
        values = lists.flatten().to_numpy(zero_copy_only=False)  # without null rows; null values are NaN
        ends = np.cumsum(lengths.clip(min=0))
        finite = np.ones(len(lengths), dtype=bool)
        finite[np.searchsorted(ends, np.flatnonzero(~np.isfinite(values)), side="right")] = False
        return cls(lengths, finite, values)

    def without_values(self) -> "Vectors":
        """What `faults` looks at, and nothing else."""
        return Vectors(self.lengths, self.finite, self.values[:0].copy())


def holds_vectors(kind: pa.DataType) -> bool:
    """Whether values of the type are lists of numbers; lists of nothing count, they may all be empty."""
    if not (t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind)):
        return False
    return bool(t.is_floating(kind.value_type) or t.is_integer(kind.value_type) or t.is_null(kind.value_type))


def faults(pieces: Sequence[Vectors]) -> "pd.Series[Any]":
    """What is wrong with each vector [n] of a column, null where nothing is."""
    lengths, finite = np.concatenate([p.lengths for p in pieces]), np.concatenate([p.finite for p in pieces])
    usual = _usual(lengths)
    found = np.full(len(lengths), None, dtype=object)
    found[~finite] = "holds a value that is missing or not finite"
    for length in np.unique(lengths[(lengths > 0) & (lengths != usual)]):
        found[lengths == length] = f"is of length {length} where {usual} is usual"
    found[lengths == 0] = "is empty"
    found[lengths == MISSING] = "is missing"
    return pd.Series(found, dtype=object)


def matrix(pieces: Sequence[Vectors]) -> NDArray[np.float32]:
    """float32 [n, d] of the pieces of a column without faults; [0, 0] without rows."""
    lengths = np.concatenate([piece.lengths for piece in pieces])
    return np.concatenate([piece.values for piece in pieces]).reshape(len(lengths), _usual(lengths))


def _usual(lengths: NDArray[np.int64]) -> int:
    """The most frequent length of those that hold something, the shortest of equally frequent ones; 0 where none does."""
    given = lengths[lengths > 0]
    return int(np.bincount(given).argmax()) if len(given) else 0
