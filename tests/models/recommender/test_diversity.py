"""Maximal marginal relevance against a case worked out by hand."""

import numpy as np
import pytest

from models.evaluation.ranking import intra_list_diversity
from models.recommender.diversity import marginal_relevance

# Two items alike and one unlike both; relevance is 1, 1/2 and 0.
SCORES = np.array([2.0, 3.0, 1.0], dtype=np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [
        (0.0, [1, 0, 2]),
        (0.3, [1, 0, 2]),  # 0.7 · 1/2 - 0.3 · 1 = 0.05 against 0
        (0.4, [1, 2, 0]),  # 0.6 · 1/2 - 0.4 · 1 = -0.1 against 0
        (1.0, [1, 2, 0]),
    ],
)
def test_by_hand(diversity: float, expected: list[int]) -> None:
    assert marginal_relevance(SCORES, VECTORS, 3, diversity).tolist() == expected


def test_what_points_away_is_better_than_what_is_merely_unlike() -> None:
    vectors = np.array([[1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    scores = np.array([3.0, 1.0, 1.0], dtype=np.float32)
    assert marginal_relevance(scores, vectors, 3, 0.5).tolist() == [0, 2, 1]


def crowd() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors @ vectors[0]).astype(np.float32), vectors  # the best are alike


def test_without_diversity_the_order_is_by_score() -> None:
    scores, vectors = crowd()
    assert marginal_relevance(scores, vectors, 10, 0.0).tolist() == np.argsort(-scores)[:10].tolist()


@pytest.mark.parametrize("diversity", [0.2, 0.5, 1.0])
def test_the_best_stays_first_and_nothing_comes_twice(diversity: float) -> None:
    scores, vectors = crowd()
    found = marginal_relevance(scores, vectors, 20, diversity).tolist()
    assert found[0] == scores.argmax()
    assert len(set(found)) == 20


def test_more_diversity_makes_lists_less_alike() -> None:
    scores, vectors = crowd()
    lists = np.stack([marginal_relevance(scores, vectors, 10, diversity) for diversity in (0.0, 0.3, 0.6, 0.9)])
    found = intra_list_diversity(lists, vectors)
    assert (np.diff(found) > 0).all()
    assert scores[lists].mean(axis=1).tolist() == sorted(scores[lists].mean(axis=1), reverse=True)


def test_lists_end_with_the_candidates() -> None:
    assert sorted(marginal_relevance(SCORES, VECTORS, 9, 0.5).tolist()) == [0, 1, 2]
    assert marginal_relevance(SCORES[:2], VECTORS[:2], 9, 0.5).tolist() == [1, 0]
    assert marginal_relevance(SCORES[:1], VECTORS[:1], 9, 0.5).tolist() == [0]
    assert marginal_relevance(SCORES[:0], VECTORS[:0], 9, 0.5).tolist() == []


def test_candidates_of_equal_score_are_chosen_by_unlikeness() -> None:
    scores = np.ones(3, dtype=np.float32)
    assert marginal_relevance(scores, VECTORS, 2, 0.5).tolist() == [0, 2]
