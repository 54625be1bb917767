"""The low-pass filter of the graph of users and items: what remains of a history in the largest singular vectors.

After GF-CF (Shen et al. 2021), with degrees damped by other powers than 1/2, by the randomised decomposition of Halko et
al. (2011).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags

from models.recommender.config import SpectralConfig

Floats = NDArray[np.float32]

OVERSAMPLED = 20
ANSWER_POWER = 0.4
"""An item with n buyers is read with n to the -p, and answered with n to the p."""


def low_pass(x: csr_matrix, config: SpectralConfig, seed: int) -> tuple[Floats, Floats]:
    """Vectors of items as they are read and as they are answered, [I, d] each, d at most the smaller side of X."""
    buyers = np.maximum(np.asarray((x > 0).sum(axis=0)).ravel(), 1).astype(np.float32)
    vectors = singular_vectors(damped(x, config.user_power, config.item_power), config.dimensions, config.iterations, seed)
    scale = buyers[:, None] ** ANSWER_POWER
    return (vectors / scale).astype(np.float32), (vectors * scale).astype(np.float32)


def damped(x: csr_matrix, user_power: float, item_power: float) -> csr_matrix:
    """diag(n_u^-a) X diag(n_i^-b)."""
    users = np.maximum(np.diff(x.indptr), 1).astype(np.float32)
    items = np.maximum(np.asarray((x > 0).sum(axis=0)).ravel(), 1).astype(np.float32)
    found: csr_matrix = (diags(users**-user_power) @ x @ diags(items**-item_power)).tocsr().astype(np.float32)
    return found


def singular_vectors(x: csr_matrix, dimensions: int, iterations: int, seed: int) -> Floats:
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
