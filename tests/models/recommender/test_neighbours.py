"""Counts of which items go with which, against dense matrices and counting by hand."""

import numpy as np
import pytest
from recommender_cases import cells, random_cells
from scipy.sparse import csr_matrix

from models.recommender import neighbours
from models.recommender.neighbours import (
    chunks,
    co_purchases,
    damped_by_items,
    largest,
    product,
    strongest,
    without_diagonal,
)

ITEMS = 14


@pytest.fixture
def x() -> csr_matrix:
    found = random_cells(40, ITEMS, 0.25, seed=1)
    found.data = np.random.default_rng(2).choice([1.0, 0.5, 0.2], found.nnz).astype(np.float32)
    return found


def with_zero_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix - np.diag(np.diag(matrix))


@pytest.mark.parametrize("power", [0.0, 0.3, 0.5])
def test_co_purchases_are_the_damped_gram_matrix(x: csr_matrix, power: float) -> None:
    dense, counts = x.toarray(), np.maximum((x.toarray() > 0).sum(1), 1)
    expected = with_zero_diagonal(dense.T @ np.diag(counts ** (-2.0 * power)) @ dense)
    np.testing.assert_allclose(co_purchases(x, power, ITEMS).toarray(), expected, atol=1e-5)


def test_co_purchases_by_hand() -> None:
    """Items 0 and 1 are bought by a user of two items and one of four; damped by half, they count 1/2 and 1/4."""
    found = co_purchases(cells([[0, 1], [0, 1, 2, 3]], 4), 0.5, 4).toarray()
    assert found[0, 1] == found[1, 0] == pytest.approx(3 / 4)
    assert found[2, 3] == pytest.approx(1 / 4)
    assert not found.diagonal().any()


def test_product_is_the_dense_product_without_its_diagonal() -> None:
    first, second = random_cells(ITEMS, 30, 0.3, seed=3), random_cells(30, ITEMS, 0.3, seed=4)
    first.data *= np.arange(1, first.nnz + 1, dtype=np.float32) / first.nnz
    expected = with_zero_diagonal(first.toarray() @ second.toarray())
    np.testing.assert_allclose(product(first, second, ITEMS).toarray(), expected, atol=1e-5)
    kept = product(first, second, 3).toarray()
    for row, whole in zip(kept, expected, strict=True):
        assert sorted(row[row > 0]) == pytest.approx(sorted(whole[whole > 0])[-3:], abs=1e-5)


@pytest.mark.parametrize("most", [1, 7, 60])
def test_chunks_change_no_product(x: csr_matrix, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    whole = co_purchases(x, 0.4, 5).toarray()
    monkeypatch.setattr(neighbours, "CELLS_A_CHUNK", most)
    np.testing.assert_allclose(co_purchases(x, 0.4, 5).toarray(), whole, atol=1e-6)


def test_chunks_cover_every_row_within_the_bound() -> None:
    work = np.array([3, 3, 3, 0, 20, 1, 1, 0])
    found = list(chunks(work, 7))
    assert [row for part in found for row in range(part.start, part.stop)] == list(range(8))
    for part in found:
        assert work[part].sum() <= 7 or part.stop == part.start + 1
    assert len(found) == 4
    assert list(chunks(work[:0], 7)) == []
    assert list(chunks(np.zeros(3, dtype=np.int64), 7)) == [slice(0, 3)]


def test_damping_divides_by_powers_of_the_buyers() -> None:
    counts, buyers = csr_matrix(np.array([[0, 4.0], [2.0, 0]])), np.array([16, 0], dtype=np.float32)
    found = damped_by_items(counts, buyers, 0.25).toarray()
    assert found.tolist() == [[0, 4 / 16**0.75], [2 / 16**0.25, 0]]  # nobody's item counts as bought once


def test_largest_keeps_the_best_of_each_row() -> None:
    dense = np.array([[5, 1, 0, 4], [0, 0, 0, 0], [-1, -3, -2, 7], [0, 2, 0, 0]], dtype=np.float32)
    kept = largest(csr_matrix(dense), 2).toarray()
    assert kept.tolist() == [[5, 0, 0, 4], [0, 0, 0, 0], [-1, 0, 0, 7], [0, 2, 0, 0]]
    assert largest(csr_matrix(dense), 9).toarray().tolist() == dense.tolist()


def test_without_diagonal_knows_where_its_rows_begin() -> None:
    whole = csr_matrix(np.ones((4, 4), dtype=np.float32))
    assert without_diagonal(whole, 0).toarray().tolist() == (1 - np.eye(4)).tolist()
    assert without_diagonal(whole[2:], 2).toarray().tolist() == [[1, 1, 0, 1], [1, 1, 1, 0]]
    empty = csr_matrix((3, 3), dtype=np.float32)
    assert without_diagonal(empty, 0).nnz == 0


def test_strongest_keeps_what_is_furthest_from_zero() -> None:
    dense = np.array([[0.1, -5, 3], [2, 0, -1]], dtype=np.float32)
    assert strongest(dense, 2).toarray().tolist() == [[0, -5, 3], [2, 0, -1]]
    assert strongest(dense, 1).toarray().tolist() == [[0, -5, 0], [2, 0, 0]]
    np.testing.assert_array_equal(strongest(dense, 10).toarray(), dense)
