"""EASE against solving column by column."""

from pathlib import Path

import numpy as np
import pytest
from recommender_cases import bare_items, cells, choice_of, histories_of, purchases_of, random_cells, settings_of
from scipy.sparse import csr_matrix

from models.recommender.held_out import HeldOut
from models.recommender.parts.regression import Regression, RegressionConfig, damped, regression

ITEMS = 14


@pytest.fixture
def x() -> csr_matrix:
    found = random_cells(40, ITEMS, 0.25, seed=1)
    found.data = np.random.default_rng(2).choice([1.0, 0.5, 0.2], found.nnz).astype(np.float32)
    return found


@pytest.mark.parametrize("ridge", [1.0, 20.0])
def test_regression_solves_each_column_without_the_item_itself(x: csr_matrix, ridge: float) -> None:
    dense, found = x.toarray().astype(np.float64), regression(x, ridge)
    assert not found.diagonal().any()
    for item in range(ITEMS):
        others = np.delete(np.arange(ITEMS), item)
        rest = dense[:, others]
        solved = np.linalg.solve(rest.T @ rest + ridge * np.eye(ITEMS - 1), rest.T @ dense[:, item])
        np.testing.assert_allclose(found[others, item], solved, atol=1e-5)


def test_damping_divides_the_columns_by_powers_of_the_buyers() -> None:
    weights, buyers = np.array([[0, 4], [-2, 0]], dtype=np.float32), np.array([16, 0], dtype=np.float32)
    assert damped(weights, buyers, 0.25, 2).toarray().tolist() == [[0, 4], [-1, 0]]  # nobody's item counts as bought once


def test_not_fitted_on_more_items_than_its_matrix_may_have() -> None:
    purchases = purchases_of([0, 1], items=bare_items(30))
    assert Regression.possible(purchases, RegressionConfig(max_items=30))
    assert not Regression.possible(purchases, RegressionConfig(max_items=29))


def test_the_penalty_and_the_power_that_rank_best_are_chosen_and_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lists = [(7 * (user % 2) + rng.permutation(7)[:4]).tolist() for user in range(40)]
    held = HeldOut.of(histories_of(*(row[:-1] for row in lists)), cells([row[-1:] for row in lists], ITEMS))
    config = RegressionConfig(ridges=(1.0, 1e6), item_powers=(0.0, 0.5))
    settings, choice = settings_of(tmp_path, config), choice_of(held)
    part = Regression.fit(purchases_of(*(row[:-1] for row in lists), items=bare_items(ITEMS)), choice, settings)
    assert part.ridge in config.ridges
    assert part.item_power in config.item_powers
    everything = purchases_of(*lists, items=bare_items(ITEMS))
    again = part.refit(everything, settings)
    assert (again.ridge, again.item_power, again.decay) == (part.ridge, part.item_power, part.decay)
    expected = damped(regression(everything.matrix, part.ridge), everything.items.buyers, part.item_power, 100)
    np.testing.assert_array_equal(again.matrix.toarray(), expected.toarray())
