"""Singular vectors against NumPy's, and alternating least squares against its objective and systems solved row by row."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from recommender_cases import histories_of, random_cells
from scipy.sparse import csr_matrix

from models.recommender import factorisation
from models.recommender.config import FactorisationConfig, SpectralConfig
from models.recommender.factorisation import Factorisation, factorise, solve
from models.recommender.spectral import ANSWER_POWER, damped, low_pass, singular_vectors

ALS = FactorisationConfig(dimensions=6, sweeps=4, unobserved=0.1, ridge=0.02)


def groups(users: int = 90, items: int = 60, count: int = 5, seed: int = 0) -> csr_matrix:
    """Users buy most of what their group likes: `count` singular values stand out. The groups differ in size."""
    rng = np.random.default_rng(seed)
    size = np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    of_user, of_item = rng.choice(count, users, p=size), rng.integers(0, count, items)
    likes = np.where(of_user[:, None] == of_item, 0.8, 0.03)
    return csr_matrix((rng.random((users, items)) < likes).astype(np.float32))


def right_vectors(dense: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    _, values, vectors = np.linalg.svd(dense.astype(np.float64), full_matrices=False)
    return values[:dimensions], vectors[:dimensions].T


def test_singular_vectors_span_what_numpys_do() -> None:
    x = groups()
    values, expected = right_vectors(x.toarray(), 5)
    found = singular_vectors(x, 5, iterations=6, seed=0)
    assert found.shape == (60, 5)
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-4)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(x @ found, axis=0), values, rtol=1e-3)  # the largest first


def test_there_are_no_more_singular_vectors_than_rows_or_columns() -> None:
    assert singular_vectors(groups(users=4, items=12), 50, 2, 0).shape == (12, 4)
    assert singular_vectors(groups(users=12, items=4), 50, 2, 0).shape == (4, 4)


def test_damping_divides_by_powers_of_the_degrees() -> None:
    x = random_cells(8, 6, 0.4, seed=5)
    dense = x.toarray()
    users, items = np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)
    np.testing.assert_allclose(damped(x, 0.4, 0.45).toarray(), dense * users[:, None] ** -0.4 * items**-0.45, rtol=1e-5)


def test_the_low_pass_keeps_the_part_of_a_history_in_the_largest_singular_vectors() -> None:
    x, config = groups(), SpectralConfig(dimensions=5, iterations=6, user_power=0.3, item_power=0.2)
    dense = x.toarray()
    users, items = np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)
    _, vectors = right_vectors(dense * users[:, None] ** -0.3 * items**-0.2, 5)
    expected = np.diag(items**-ANSWER_POWER) @ vectors @ vectors.T @ np.diag(items**ANSWER_POWER)
    reading, answering = low_pass(x, config, seed=0)
    np.testing.assert_allclose(reading @ answering.T, expected, atol=2e-3)


def test_the_low_pass_copes_with_more_dimensions_than_there_are() -> None:
    reading, answering = low_pass(random_cells(5, 9, 0.4, seed=1), SpectralConfig(), seed=0)
    assert reading.shape == answering.shape == (9, 5)
    assert np.isfinite(reading).all()
    assert np.isfinite(answering).all()


def rows_by_numpy(x: csr_matrix, others: np.ndarray, unobserved: float, ridge: float) -> np.ndarray:
    """Each row's factors from its own system of equations, in float64."""
    dense, y = x.toarray().astype(np.float64), others.astype(np.float64)
    found = np.zeros((len(dense), y.shape[1]))
    for row, weights in enumerate(dense):
        penalty = ridge * (weights.sum() + unobserved * len(y))
        system = unobserved * y.T @ y + y.T @ np.diag(weights) @ y + penalty * np.eye(y.shape[1])
        found[row] = np.linalg.solve(system, y.T @ weights)
    return found


def objective(x: csr_matrix, users: torch.Tensor, items: torch.Tensor) -> float:
    """Weighted squares of Hu et al. (2008), the penalty of each row in proportion to what the row weighs."""
    w, u, v = x.toarray().astype(np.float64), users.numpy().astype(np.float64), items.numpy().astype(np.float64)
    predicted = u @ v.T
    squares = (w * (1 - predicted) ** 2).sum() + ALS.unobserved * (predicted**2).sum()
    of_users = ((w.sum(1) + ALS.unobserved * w.shape[1]) * (u**2).sum(1)).sum()
    of_items = ((w.sum(0) + ALS.unobserved * w.shape[0]) * (v**2).sum(1)).sum()
    return float(squares + ALS.ridge * (of_users + of_items))


def test_solve_is_each_rows_ridge_regression() -> None:
    x = random_cells(30, 20, 0.2, seed=2)
    x.data = np.random.default_rng(3).choice([1.0, 0.5, 0.2], x.nnz).astype(np.float32)
    others = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    found = solve(x, others, 0.1, 0.02).numpy()
    np.testing.assert_allclose(found, rows_by_numpy(x, others.numpy(), 0.1, 0.02), atol=1e-4)
    empty = np.asarray(x.sum(axis=1)).ravel() == 0
    assert not found[empty].any()


def test_each_half_sweep_lowers_the_objective() -> None:
    x = groups()
    items = torch.randn(60, ALS.dimensions, generator=torch.Generator().manual_seed(0)) * 0.1
    users = torch.zeros(90, ALS.dimensions)
    reached = [objective(x, users, items)]
    for _ in range(4):
        users = solve(x, items, ALS.unobserved, ALS.ridge)
        reached.append(objective(x, users, items))
        items = solve(x.T.tocsr(), users, ALS.unobserved, ALS.ridge)
        reached.append(objective(x, users, items))
    assert all(after < before + 1e-3 for before, after in pairwise(reached))
    assert reached[-1] < 0.6 * reached[0]


def test_more_sweeps_fit_better() -> None:
    x = groups()

    def reached(sweeps: int) -> float:
        part = factorise(x, ALS.model_copy(update={"sweeps": sweeps}), seed=0)
        return objective(x, solve(x, torch.from_numpy(part.items), ALS.unobserved, ALS.ridge), torch.from_numpy(part.items))

    assert reached(5) < reached(1)


def histories(x: csr_matrix) -> Any:
    return histories_of(*(row.indices.tolist() for row in x))


def test_a_history_of_training_leads_to_the_factors_that_training_solves_for() -> None:
    x = groups()
    part = factorise(x, ALS, seed=0)
    solved = solve(x, torch.from_numpy(part.items), ALS.unobserved, ALS.ridge).numpy()
    np.testing.assert_allclose(part.query(histories(x)), solved, atol=1e-5)
    np.testing.assert_allclose(part.scores(histories(x)), solved @ part.items.T, atol=1e-5)


def test_a_user_who_was_never_seen_is_solved_for() -> None:
    x = groups()
    part = factorise(x, ALS, seed=0)
    new = histories_of([3, 17, 40], [], weights=[1, 0.5, 1])
    expected = rows_by_numpy(new.matrix(60), part.items, ALS.unobserved, ALS.ridge)
    np.testing.assert_allclose(part.query(new), expected, atol=1e-4)
    assert not part.scores(new)[1].any()


def test_one_item_leads_to_the_rest_of_its_group() -> None:
    x = csr_matrix(np.kron(np.eye(3, dtype=np.float32), np.ones((8, 5), dtype=np.float32)))
    part = factorise(x, ALS, seed=0)
    for item in range(15):
        best = np.argsort(-part.scores(histories_of([item]))[0])[:5]
        assert set(best // 5) == {item // 5}


@pytest.mark.parametrize("most", [1, 300, 1500])
def test_padding_rows_together_changes_no_solution(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    x, others = groups(), torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    whole = solve(x, others, 0.1, 0.02).numpy()
    monkeypatch.setattr(factorisation, "CELLS_A_BATCH", most)
    np.testing.assert_allclose(solve(x, others, 0.1, 0.02).numpy(), whole, atol=1e-5)


def test_a_restored_factorisation_scores_the_same() -> None:
    x = groups()
    part = factorise(x, ALS, seed=0)
    restored = Factorisation.restore(part.state())
    np.testing.assert_allclose(restored.scores(histories(x)), part.scores(histories(x)), atol=1e-6)


def test_rows_of_an_item_that_a_hundred_thousand_bought_fit_in_memory() -> None:
    buyers, items, dimensions = 100_000, 700, 64  # 700 · 100,000 · 64 is beyond 32 bits
    offsets = np.minimum(np.arange(items + 1), 20) * buyers
    offsets[21:] = 20 * buyers + np.arange(1, items - 19) * 3
    columns = np.arange(offsets[-1]) % buyers
    x = csr_matrix((np.ones(len(columns), np.float32), columns.astype(np.int32), offsets.astype(np.int32)), shape=(items, buyers))
    seen = 0
    for rows, chosen, weights in factorisation._padded(x, dimensions):
        assert len(rows) == 1 or chosen.numel() * dimensions <= factorisation.CELLS_A_BATCH
        seen += int(weights.sum())
    assert seen == x.nnz
