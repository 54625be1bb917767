import numpy as np

from models.recommender.readings import ConstantReading, scaled


def test_scores_are_divided_by_their_spread() -> None:
    scores = np.array([[1.0, 3.0], [2.0, 4.0]], dtype=np.float32)
    assert scaled(scores, np.array([1.0, 2.0], dtype=np.float32)).tolist() == [[1.0, 3.0], [1.0, 2.0]]


def test_scores_that_are_all_alike_say_nothing() -> None:
    """Divided by the rounding error of their spread, they would drown every other part."""
    alike = ConstantReading(np.full(7, np.log1p(np.float32(5))), users=2)
    assert not scaled(alike.all(), alike.spread()).any()
    assert not scaled(np.ones((1, 3), dtype=np.float32), np.zeros(1, dtype=np.float32)).any()
    unknown = np.full(1, np.nan, dtype=np.float32)
    assert np.isnan(scaled(np.full((1, 3), np.nan, dtype=np.float32), unknown)).all()  # what is no number is not hidden
    told = ConstantReading(np.log1p(np.array([1, 5, 9], dtype=np.float32)), users=2)
    assert np.ptp(scaled(told.all(), told.spread()), axis=1).min() > 2
