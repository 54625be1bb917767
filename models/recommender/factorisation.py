"""Matrix factorisation by implicit alternating least squares (Hu et al. 2008, as tuned by Rendle et al. 2022).

Every pair that was not bought counts `unobserved`, every bought one 1 more. A user's factors follow from the items' in closed
form, so a user who was never seen is solved for like any other. Shapes: U users, I items, d factors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from models.recommender.config import FactorisationConfig
from models.recommender.interactions import Histories
from models.recommender.parts import Scored, State
from models.recommender.readings import DenseReading, Floats, Reading, Vectors

CELLS_A_BATCH = 8_000_000


@dataclass(frozen=True)
class Factorisation(Scored):
    """Inner products of item factors [I, d] with those that the history leads to."""

    items: Floats
    unobserved: float
    ridge: float
    kind: ClassVar[str] = "factorisation"

    @cached_property
    def _factors(self) -> Tensor:
        return torch.from_numpy(self.items)

    @cached_property
    def _everything(self) -> Tensor:
        return self.unobserved * self._factors.T @ self._factors

    def query(self, histories: Histories) -> Floats:
        """Factors of each user [B, d]."""
        x = histories.matrix(len(self.items))
        found: Floats = solve(x, self._factors, self.unobserved, self.ridge, self._everything).numpy()
        return found

    def read(self, histories: Histories) -> Reading:
        """See `models.recommender.parts.Part`."""
        return DenseReading(self.query(histories), self._vectors)

    @cached_property
    def _vectors(self) -> Vectors:
        return Vectors.of(self.items)

    def state(self) -> State:
        """See `models.recommender.parts.Part`."""
        return {"items": self.items, "penalties": np.array([self.unobserved, self.ridge], dtype=np.float32)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]]) -> Self:
        """The part that `state` was taken of."""
        unobserved, ridge = map(float, state["penalties"])
        return cls(state["items"], unobserved, ridge)


def factorise(x: csr_matrix, config: FactorisationConfig, seed: int) -> Factorisation:
    """Factors that `config.sweeps` rounds of solving for users, then items, lead to."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randn(x.shape[1], config.dimensions, generator=generator) * 0.1 / config.dimensions**0.5
    turned = x.T.tocsr()
    for _ in range(config.sweeps):
        users = solve(x, items, config.unobserved, config.ridge)
        items = solve(turned, users, config.unobserved, config.ridge)
    return Factorisation(items.numpy(), config.unobserved, config.ridge)


def solve(x: csr_matrix, others: Tensor, unobserved: float, ridge: float, everything: Tensor | None = None) -> Tensor:
    """Factors of each row of x: (a YᵀY + Σ w y yᵀ + r (n + a I) 1)⁻¹ Σ w y over the row's cells, Y the factors of the columns."""
    dimensions = others.shape[1]
    base = unobserved * others.T @ others if everything is None else everything
    found = torch.zeros(x.shape[0], dimensions)
    for rows, columns, weights in _padded(x, dimensions):
        cells = others[columns]  # (rows, longest, d)
        system = torch.baddbmm(base, cells.transpose(1, 2) * weights[:, None], cells)
        penalty = ridge * (weights.sum(1) + unobserved * len(others))
        system.diagonal(dim1=1, dim2=2).add_(penalty[:, None])
        target = (cells * weights[:, :, None]).sum(1)
        found[rows] = torch.cholesky_solve(target[:, :, None], torch.linalg.cholesky(system))[:, :, 0]
    return found


def _padded(x: csr_matrix, dimensions: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of about equal length: their numbers, columns (rows, longest) and weights, 0 where a row is shorter."""
    lengths = np.diff(x.indptr).astype(np.int64)  # products of them leave 32 bits
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        stop = min(len(order), start + max(1, CELLS_A_BATCH // dimensions**2))
        while stop > start + 1 and (stop - start) * lengths[order[stop - 1]] * dimensions > CELLS_A_BATCH:
            stop = start + max(1, (stop - start) // 2)
        rows = order[start:stop]
        there = np.arange(lengths[rows[-1]]) < lengths[rows][:, None]
        cells = np.repeat(x.indptr[rows], lengths[rows]) + np.nonzero(there)[1]
        columns, weights = np.zeros(there.shape, dtype=np.int64), np.zeros(there.shape, dtype=np.float32)
        columns[there], weights[there] = x.indices[cells], x.data[cells]
        yield torch.from_numpy(rows), torch.from_numpy(columns), torch.from_numpy(weights)
        start = stop
