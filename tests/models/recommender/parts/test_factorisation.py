"""Alternating least squares against its objective and systems solved row by row."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recommender_cases import bare_items, choice_of, grouped_cells, histories_of, purchases_of, random_cells, settings_of
from scipy.sparse import csr_matrix

from models.recommender.held_out import HeldOut
from models.recommender.parts import factorisation
from models.recommender.parts.factorisation import Factorisation, FactorisationConfig, factorise, solve

ALS = FactorisationConfig(dimensions=6, sweeps=4, unobserved=0.1, ridge=0.02)


def fitted(x: csr_matrix) -> Factorisation:
    return Factorisation(factorise(x, ALS, seed=0), ALS.unobserved, ALS.ridge)


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
    x = grouped_cells()
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
    x = grouped_cells()

    def reached(sweeps: int) -> float:
        factors = torch.from_numpy(factorise(x, ALS.model_copy(update={"sweeps": sweeps}), seed=0))
        return objective(x, solve(x, factors, ALS.unobserved, ALS.ridge), factors)

    assert reached(5) < reached(1)


def histories(x: csr_matrix) -> Any:
    return histories_of(*(row.indices.tolist() for row in x))


def test_a_history_of_training_leads_to_the_factors_that_training_solves_for() -> None:
    x = grouped_cells()
    part = fitted(x)
    solved = solve(x, torch.from_numpy(part.items), ALS.unobserved, ALS.ridge).numpy()
    np.testing.assert_allclose(part.query(histories(x)), solved, atol=1e-5)
    np.testing.assert_allclose(part.scores(histories(x)), solved @ part.items.T, atol=1e-5)


def test_a_user_who_was_never_seen_is_solved_for() -> None:
    x = grouped_cells()
    part = fitted(x)
    new = histories_of([3, 17, 40], [], weights=[1, 0.5, 1])
    expected = rows_by_numpy(new.matrix(60), part.items, ALS.unobserved, ALS.ridge)
    np.testing.assert_allclose(part.query(new), expected, atol=1e-4)
    assert not part.scores(new)[1].any()


def test_one_item_leads_to_the_rest_of_its_group() -> None:
    x = csr_matrix(np.kron(np.eye(3, dtype=np.float32), np.ones((8, 5), dtype=np.float32)))
    part = fitted(x)
    for item in range(15):
        best = np.argsort(-part.scores(histories_of([item]))[0])[:5]
        assert set(best // 5) == {item // 5}


@pytest.mark.parametrize("most", [1, 300, 1500])
def test_padding_rows_together_changes_no_solution(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    x, others = grouped_cells(), torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    whole = solve(x, others, 0.1, 0.02).numpy()
    monkeypatch.setattr(factorisation, "CELLS_A_BATCH", most)
    np.testing.assert_allclose(solve(x, others, 0.1, 0.02).numpy(), whole, atol=1e-5)


def test_a_restored_factorisation_scores_the_same() -> None:
    x = grouped_cells()
    part = fitted(x)
    restored = Factorisation.restore(part.state(), ALS, bare_items(60))
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


def test_refitting_starts_from_the_same_factors(tmp_path: Path) -> None:
    lists = [row.indices.tolist() for row in grouped_cells()]
    training, settings = purchases_of(*lists, items=bare_items(60)), settings_of(tmp_path, ALS, seed=0)
    nobody = choice_of(HeldOut(histories_of(), csr_matrix((0, 60)), np.arange(0)))
    part = Factorisation.fit(training, nobody, settings)
    np.testing.assert_array_equal(part.items, fitted(training.matrix).items)
    np.testing.assert_array_equal(part.refit(training, settings).items, part.items)
    assert np.abs(part.refit(purchases_of(*lists[:60], items=bare_items(60)), settings).items - part.items).max() > 1e-3
