"""Which items are the best, where several have the same score."""

import numpy as np
import pytest

from models.recommender.predictor import _best


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 9])
def test_the_highest_come_first_and_of_equal_ones_the_first(count: int) -> None:
    scores = np.array([0.5, 2.0, 0.5, 1.0, 0.5, 2.0, 0.5, -np.inf], dtype=np.float32)
    assert _best(scores, count).tolist() == [1, 5, 3, 0, 2, 4, 6, 7][:count]


def test_many_equal_scores_are_taken_in_order() -> None:
    scores = np.ones(1000, dtype=np.float32)
    scores[[700, 30]] = 3.0, 2.0
    assert _best(scores, 5).tolist() == [700, 30, 0, 1, 2]
