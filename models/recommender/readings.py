"""What a part makes of a few histories: scores of all items, or of some, and their spread over the items.

The spread is exact and needs no row of scores: of sparse rows it follows from their cells, of inner products from the
mean and the covariance of the item vectors. Shapes: B users, I items, n items asked for, d dimensions.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

TINY = 1e-12

DENSE_SHARE = 0.1
"""Share of the items from which on all are scored, as copying their vectors would cost more."""


class Reading(Protocol):
    """Scores of B users."""

    def all(self) -> Floats:
        """Of every item [B, I]."""
        ...

    def at(self, items: NDArray[Any]) -> Floats:
        """Of some items [B, n]."""
        ...

    def spread(self) -> Floats:
        """Standard deviation over all items [B]."""
        ...

    def first(self) -> "Reading":
        """That of the first user alone."""
        ...

    @property
    def sparse(self) -> "tuple[SparseReading, ...]":
        """Those it consists of that reach few items."""
        ...

    @property
    def dense(self) -> "tuple[tuple[float, DenseReading], ...]":
        """Inner products it consists of, each with how much it counts where the whole has a spread of 1."""
        ...


@dataclass(frozen=True)
class SparseReading:
    """Rows [B, I] of which most cells are zero."""

    rows: csr_matrix

    def all(self) -> Floats:
        """See `Reading`."""
        found: Floats = self.rows.toarray()
        return found

    def at(self, items: NDArray[Any]) -> Floats:
        """See `Reading`."""
        return cells(self.rows, np.arange(self.rows.shape[0]), items)

    def spread(self) -> Floats:
        """See `Reading`."""
        count = self.rows.shape[1]
        data = self.rows.data.astype(np.float64)
        mean, square = self._sums(data) / count, self._sums(data**2) / count
        found: Floats = np.sqrt(np.maximum(square - mean**2, 0.0)).astype(np.float32)
        return found

    def first(self) -> "SparseReading":
        """See `Reading`."""
        if self.rows.shape[0] == 1:
            return self
        end = self.rows.indptr[1]
        row = self.rows.data[:end], self.rows.indices[:end], self.rows.indptr[:2]
        return SparseReading(csr_matrix(row, shape=(1, self.rows.shape[1])))

    @property
    def sparse(self) -> "tuple[SparseReading, ...]":
        """See `Reading`."""
        return (self,)

    @property
    def dense(self) -> "tuple[tuple[float, DenseReading], ...]":
        """See `Reading`."""
        return ()

    def _sums(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of the cells of each row [B]."""
        starts = self.rows.indptr[:-1]
        found = np.add.reduceat(np.append(data, 0.0), starts)  # of a row without cells, the first cell of the next
        found[starts == self.rows.indptr[1:]] = 0.0
        return found


@dataclass(frozen=True)
class Vectors:
    """Item vectors [I, d] with their covariance [d, d], by which the spread of any query is known."""

    items: Floats
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, items: Floats) -> Self:
        """With the covariance of its rows."""
        centred = items.astype(np.float64) - items.mean(axis=0, dtype=np.float64)
        return cls(items, centred.T @ centred / len(items))


@dataclass(frozen=True)
class DenseReading:
    """Inner products of queries [B, d] with item vectors."""

    query: Floats
    vectors: Vectors

    def all(self) -> Floats:
        """See `Reading`."""
        found: Floats = self.query @ self.vectors.items.T
        return found

    def at(self, items: NDArray[Any]) -> Floats:
        """See `Reading`."""
        if len(items) > DENSE_SHARE * len(self.vectors.items):
            return self.all()[:, items]
        found: Floats = self.query @ self.vectors.items[items].T
        return found

    def spread(self) -> Floats:
        """See `Reading`."""
        query = self.query.astype(np.float64)
        found: Floats = np.sqrt(np.maximum(((query @ self.vectors.covariance) * query).sum(1), 0.0)).astype(np.float32)
        return found

    def first(self) -> "DenseReading":
        """See `Reading`."""
        return DenseReading(self.query[:1], self.vectors)

    @property
    def sparse(self) -> "tuple[SparseReading, ...]":
        """See `Reading`."""
        return ()

    @property
    def dense(self) -> "tuple[tuple[float, DenseReading], ...]":
        """See `Reading`."""
        return ((1.0, self),)


@dataclass(frozen=True)
class ConstantReading:
    """The same row [I] for B users."""

    row: Floats
    users: int

    def all(self) -> Floats:
        """See `Reading`."""
        return np.broadcast_to(self.row, (self.users, len(self.row)))

    def at(self, items: NDArray[Any]) -> Floats:
        """See `Reading`."""
        return np.broadcast_to(self.row[items], (self.users, len(items)))

    def spread(self) -> Floats:
        """See `Reading`."""
        alike = not len(self.row) or bool((self.row == self.row[0]).all())  # their deviation may be a rounding error above 0
        return np.full(self.users, 0.0 if alike else self.row.std(), dtype=np.float32)

    def first(self) -> "ConstantReading":
        """See `Reading`."""
        return ConstantReading(self.row, 1)

    @property
    def sparse(self) -> "tuple[SparseReading, ...]":
        """See `Reading`."""
        return ()

    @property
    def dense(self) -> "tuple[tuple[float, DenseReading], ...]":
        """See `Reading`."""
        return ()


def scaled(scores: Floats, spread: Floats) -> Floats:
    """Scores [B, n] over their spread [B]; 0 where there is none."""
    alike = spread[:, None] <= TINY
    found: Floats = np.where(alike, 0.0, scores / np.maximum(spread, TINY)[:, None]).astype(np.float32)
    return found


def cells(matrix: csr_matrix, rows: NDArray[Any], items: NDArray[Any]) -> Floats:
    """Cells [n, m] of a sparse matrix in n of its rows and m of its columns; SciPy's own indexing takes three times as long."""
    first, lengths = matrix.indptr[rows], matrix.indptr[rows + 1] - matrix.indptr[rows]
    ends = np.cumsum(lengths)
    at = np.repeat(first - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
    place = np.full(matrix.shape[1], -1, dtype=np.int64)
    place[items] = np.arange(len(items))
    column = place[matrix.indices[at]]
    asked = np.flatnonzero(column >= 0)
    found = np.zeros((len(rows), len(items)), dtype=np.float32)
    found[np.searchsorted(ends, asked, side="right"), column[asked]] = matrix.data[at[asked]]
    return found
