"""Figures that are computed here, against hand-computed values."""

import numpy as np
import pandas as pd
import pytest

from models.quality.evaluate import by_listing, precision_at_recall

P = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.1])


def test_precision_where_so_many_are_found() -> None:
    positive = np.array([True, True, False, True, True, False])
    right = positive.copy()
    assert precision_at_recall(P, right, positive, 0.25) == pytest.approx(1.0)
    assert precision_at_recall(P, right, positive, 0.5) == pytest.approx(2 / 3)  # equal ones are called together
    assert precision_at_recall(P, right, positive, 1.0) == pytest.approx(4 / 5)


def test_a_duplicate_of_another_listing_is_a_false_call() -> None:
    positive = np.array([True, True, False, True, True, False])
    right = positive & (P != 0.9)
    assert precision_at_recall(P, right, positive, 0.75) == pytest.approx(3 / 5)
    assert precision_at_recall(P, right, positive, 0.8) == 0.0
    assert np.isnan(precision_at_recall(P, right, np.zeros(6, dtype=bool), 0.8))


def test_rows_of_one_listing_count_as_one() -> None:
    rows = pd.DataFrame({"product_id": ["b", "a", "b", "b"], "hit": [True, False, False, False]})
    assert by_listing(rows, "hit").tolist() == pytest.approx([0.0, 1 / 3])
