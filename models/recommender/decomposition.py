"""Singular vectors of large sparse matrices, by the randomised decomposition of Halko et al. (2011).

Shapes: U users, I items, d dimensions.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags

from models.recommender.readings import Floats

OVERSAMPLED = 20
"""Further columns of the random start; they are dropped at the end."""

ITERATIONS = 3
"""Power iterations: each brings the largest singular values further out."""


def damped(x: csr_matrix, user_power: float, item_power: float) -> csr_matrix:
    """diag(n_u^-a) X diag(n_i^-b)."""
    users = np.maximum(np.diff(x.indptr), 1).astype(np.float32)
    items = np.maximum(np.asarray((x > 0).sum(axis=0)).ravel(), 1).astype(np.float32)
    found: csr_matrix = (diags(users**-user_power) @ x @ diags(items**-item_power)).tocsr().astype(np.float32)
    return found


def singular_vectors(x: csr_matrix, dimensions: int, seed: int, iterations: int = ITERATIONS) -> Floats:
    """The right singular vectors [I, d] of the largest singular values, by subspace iteration from a random start."""
    dimensions = min(dimensions, *x.shape)
    width = min(dimensions + OVERSAMPLED, *x.shape)
    turned = x.T.tocsr()
    basis = np.random.default_rng(seed).standard_normal((x.shape[1], width), dtype=np.float32)
    for _ in range(iterations):
        basis, _ = np.linalg.qr(turned @ (x @ basis))
    image = x @ basis
    _, rotation = np.linalg.eigh((image.T @ image).astype(np.float64))  # ascending
    found: Floats = (basis @ rotation[:, ::-1][:, :dimensions]).astype(np.float32)
    return found
