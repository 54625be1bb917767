"""Singular vectors against NumPy's."""

import numpy as np
from recommender_cases import grouped_cells, random_cells

from models.recommender.decomposition import damped, singular_vectors


def right_vectors(dense: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    _, values, vectors = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    return values[:dimensions], vectors[:dimensions].T


def test_singular_vectors_span_what_numpys_do() -> None:
    x = grouped_cells()
    values, expected = right_vectors(x.toarray(), 5)
    found = singular_vectors(x, 5, seed=0, iterations=6)
    assert found.shape == (60, 5)
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-4)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(x @ found, axis=0), values, rtol=1e-3)  # the largest first


def test_there_are_no_more_singular_vectors_than_rows_or_columns() -> None:
    assert singular_vectors(grouped_cells(users=4, items=12), 50, 0, 2).shape == (12, 4)
    assert singular_vectors(grouped_cells(users=12, items=4), 50, 0, 2).shape == (4, 4)


def test_damping_divides_by_powers_of_the_degrees() -> None:
    x = random_cells(8, 6, 0.4, seed=5)
    dense = x.toarray()
    users, items = np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)
    np.testing.assert_allclose(damped(x, 0.4, 0.45).toarray(), dense * users[:, None] ** -0.4 * items**-0.45, rtol=1e-5)
