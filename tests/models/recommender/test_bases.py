"""The ways in which most parts score."""

import math
from typing import Any

import numpy as np
import pytest
from recommender_cases import histories_of, sparse_part
from scipy.sparse import csr_matrix

from models.recommender.part import Part
from models.recommender.parts.popularity import Popularity
from models.recommender.parts.spectral import Spectral

ITEMS = 40


def test_neighbours_sum_over_the_history_and_fade() -> None:
    matrix = csr_matrix(np.array([[0, 2, 1], [4, 0, 0], [0, 0, 0]], dtype=np.float32))
    asked = histories_of([0, 1], [2], weights=[1, 0.5, 1])
    assert sparse_part(matrix, 0.0).scores(asked).tolist() == [[2, 2, 1], [0, 0, 0]]
    assert sparse_part(matrix, math.log(2)).scores(asked)[0].tolist() == pytest.approx([2, 1, 0.5])


@pytest.mark.parametrize(
    "part",
    [
        sparse_part(np.random.default_rng(0).random((ITEMS, ITEMS), dtype=np.float32)),
        sparse_part(np.roll(np.eye(ITEMS, dtype=np.float32), 1, axis=1)),
        Spectral(*np.random.default_rng(0).standard_normal((2, ITEMS, 3)).astype(np.float32), 0.3),
        Popularity(np.arange(ITEMS, dtype=np.float32)),
    ],
)
def test_a_reading_knows_some_scores_and_the_spread_of_all(part: Part[Any]) -> None:
    reading, asked = part.read(histories_of([1, 2], [], [5])), np.array([3, 0, 39, 6])
    whole = reading.all()
    assert whole.shape == (3, ITEMS)
    np.testing.assert_allclose(reading.at(asked), whole[:, asked], rtol=1e-5)
    np.testing.assert_allclose(reading.spread(), whole.std(axis=1), rtol=1e-4, atol=1e-6)
