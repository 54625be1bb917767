"""Sparse matrices of which items go with which: how they are counted, damped and cut to the largest cells of each row.

X is the users × items matrix of histories [U, I]; an item's neighbours are the columns of its row. Users of very long histories
say less about any pair of their items, and popular items are near everything: both are damped by powers of their degrees.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, vstack

from models.recommender.readings import Floats

CELLS_A_CHUNK = 20_000_000
"""Products of two cells that are held at once."""


def co_purchases(x: csr_matrix, user_power: float, keep: int) -> csr_matrix:
    """Xᵀ diag(n_u^(-2p)) X without its diagonal: how often two items are bought by the same users [I, I], `keep` a row."""
    lengths = np.maximum(np.diff(x.indptr), 1).astype(np.float32)
    damped = (diags(lengths**-user_power) @ x).tocsr()
    return product(damped.T.tocsr(), damped, keep)


def product(first: csr_matrix, second: csr_matrix, keep: int) -> csr_matrix:
    """First @ second [I, I] without its diagonal, the `keep` largest cells of each row; never held whole."""
    work = np.asarray(first.astype(bool) @ np.diff(second.indptr)).ravel()  # cells that each row's product touches
    rows = [largest(without_diagonal((first[part] @ second).tocsr(), part.start), keep) for part in chunks(work, CELLS_A_CHUNK)]
    return vstack(rows, format="csr")


def damped_by_items(counts: csr_matrix, buyers: Floats, power: float) -> csr_matrix:
    """D^(-(1-p)) C D^(-p): rows by what the item itself is bought, columns by what the other is."""
    degree = np.maximum(buyers, 1.0).astype(np.float32)
    found: csr_matrix = (diags(degree ** -(1.0 - power)) @ counts @ diags(degree**-power)).tocsr().astype(np.float32)
    return found


def strongest(weights: Floats, keep: int) -> csr_matrix:
    """The `keep` cells of each row of a dense matrix that are furthest from zero, as a sparse matrix."""
    rows, columns = weights.shape
    keep = min(keep, columns)
    chosen = np.argpartition(-np.abs(weights), keep - 1, axis=1)[:, :keep]
    chosen.sort(axis=1)
    data = np.take_along_axis(weights, chosen, axis=1)
    return csr_matrix((data.ravel(), chosen.ravel().astype(np.int32), np.arange(rows + 1) * keep), shape=weights.shape)


def largest(matrix: csr_matrix, keep: int) -> csr_matrix:
    """The `keep` largest cells of each row."""
    counts = np.diff(matrix.indptr)
    if not len(counts) or counts.max() <= keep:
        return matrix
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-matrix.data, rows))
    place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], counts)
    kept = np.sort(order[place < keep])
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, keep))])
    return csr_matrix((matrix.data[kept], matrix.indices[kept], offsets), shape=matrix.shape)


def without_diagonal(matrix: csr_matrix, first: int) -> csr_matrix:
    """Rows `first` and on of a square matrix, without the cells of an item with itself."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) + first
    kept = rows != matrix.indices
    offsets = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return csr_matrix((matrix.data[kept], matrix.indices[kept], offsets), shape=matrix.shape)


def chunks(work: NDArray[np.int64], most: int) -> Iterator[slice]:
    """Consecutive rows whose `work` is together about `most`."""
    start, total = 0, np.cumsum(work)
    while start < len(work):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + most, side="right")))
        yield slice(start, stop)
        start = stop
