"""Matrix factorisation by implicit alternating least squares (Hu et al. 2008, as tuned by Rendle et al. 2022).

Every pair that was not bought counts `unobserved`, every bought one 1 more. A user's factors follow from the items' in closed
form, so a user who was never seen is solved for like any other. Shapes: B and U users, I items, d factors.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor

from configs.schema import PositiveFloat, PositiveInt, StrictModel
from models.recommender.answers import ReasonKind
from models.recommender.bases import DensePart
from models.recommender.interactions import Histories
from models.recommender.part import Choice, Purchases, Settings
from models.recommender.readings import Floats

CELLS_A_BATCH = 8_000_000
"""Cells of the factors of rows that are solved for together."""


class FactorisationConfig(StrictModel):
    """Implicit alternating least squares (Hu et al. 2008; Rendle et al. 2022)."""

    dimensions: PositiveInt = Field(64, description="factors")
    sweeps: PositiveInt = Field(5, description="times that users and items are solved for")
    unobserved: PositiveFloat = Field(0.05, description="weight of a pair that was not bought, where one that was has 1")
    ridge: PositiveFloat = Field(0.003, description="penalty, times what a row weighs in all")


@dataclass(frozen=True)
class Factorisation(DensePart[FactorisationConfig]):
    """Inner products of item factors [I, d] with those that the history leads to."""

    items: Floats
    unobserved: float
    ridge: float

    label: ClassVar[str] = "Matrix factorisation"
    reason: ClassVar[ReasonKind] = "bought_together"
    sentence: ClassVar[str] = "Goes with {title}: the same users buy both."
    order: ClassVar[int] = 40
    config: ClassVar[type[StrictModel]] = FactorisationConfig

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[FactorisationConfig]) -> Self:
        """There is nothing to choose."""
        config = settings.config
        return cls(factorise(purchases.matrix, config, settings.trainer.seed), config.unobserved, config.ridge)

    def refit(self, purchases: Purchases, settings: Settings[FactorisationConfig]) -> Self:
        """From the same random factors."""
        factors = factorise(purchases.matrix, settings.config, settings.trainer.seed)
        return type(self)(factors, self.unobserved, self.ridge)

    def query(self, histories: Histories) -> Floats:
        """Factors of each user [B, d]."""
        x = histories.matrix(len(self.items))
        found: Floats = solve(x, self._factors, self.unobserved, self.ridge, self._everything).numpy()
        return found

    @property
    def targets(self) -> Floats:
        """See `DensePart`."""
        return self.items

    @cached_property
    def _factors(self) -> Tensor:
        return torch.from_numpy(self.items)

    @cached_property
    def _everything(self) -> Tensor:
        return self.unobserved * self._factors.T @ self._factors


def factorise(x: csr_matrix, config: FactorisationConfig, seed: int) -> Floats:
    """Item factors [I, d] that `config.sweeps` rounds of solving for users, then items, lead to."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randn(x.shape[1], config.dimensions, generator=generator) * 0.1 / config.dimensions**0.5
    turned = x.T.tocsr()
    for _ in range(config.sweeps):
        users = solve(x, items, config.unobserved, config.ridge)
        items = solve(turned, users, config.unobserved, config.ridge)
    found: Floats = items.numpy()
    return found


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


PART = Factorisation
