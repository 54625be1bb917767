"""Ranking metrics against cases worked out by hand."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.evaluation import ranking

RANKED = np.array([[2, 0, 4], [1, 3, -1], [-1, -1, -1]])
RELEVANT = csr_matrix(np.array([[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [1, 1, 0, 0, 0]]))
COUNT = np.array([2, 1, 2])
HIT = np.array([[False, True, True], [False, True, False], [False, False, False]])


def test_hits_are_what_is_relevant_to_the_same_user() -> None:
    assert ranking.hits(RANKED, RELEVANT).tolist() == HIT.tolist()


def test_the_empty_place_is_no_hit_even_where_the_first_item_is_relevant() -> None:
    assert not ranking.hits(np.array([[-1]]), csr_matrix([[1, 0]])).any()


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 0, 0]), (2, [0.5, 1, 0]), (3, [1, 1, 0]), (9, [1, 1, 0])])
def test_recall_by_hand(k: int, expected: list[float]) -> None:
    assert ranking.recall(HIT, COUNT, k).tolist() == expected


@pytest.mark.parametrize(("k", "expected"), [(1, [0, 0, 0]), (2, [1, 1, 0])])
def test_hit_rate_by_hand(k: int, expected: list[float]) -> None:
    assert ranking.hit_rate(HIT, k).tolist() == expected


def test_ndcg_by_hand() -> None:
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    assert ranking.ndcg(HIT, COUNT, 3) == pytest.approx([(second + third) / (1 + second), second, 0])
    assert ranking.ndcg(HIT, COUNT, 2) == pytest.approx([second / (1 + second), second, 0])
    assert ranking.ndcg(HIT, COUNT, 20) == pytest.approx(ranking.ndcg(HIT, COUNT, 3))
    assert ranking.ndcg(np.array([[True, True]]), np.array([9]), 2) == pytest.approx([1.0])


def test_reciprocal_rank_by_hand() -> None:
    assert ranking.reciprocal_rank(HIT).tolist() == [0.5, 0.5, 0.0]
    assert ranking.reciprocal_rank(np.array([[True, True]])).tolist() == [1.0]


def test_users_without_a_recommendation_stay_in_the_denominator() -> None:
    assert ranking.recall(HIT, COUNT, 3).mean() == pytest.approx(2 / 3)


def test_coverage_and_gini_by_hand() -> None:
    assert ranking.coverage(RANKED, 10) == 0.5
    assert ranking.gini(np.array([[0, 1], [2, 3]]), 4) == 0.0
    assert ranking.gini(np.array([[0], [0], [0]]), 4) == pytest.approx(0.75)  # 1 - 1 / items
    assert ranking.gini(np.array([[0, 1], [0, -1]]), 2) == pytest.approx(1 / 6)  # shown 2 and 1 times
    assert math.isnan(ranking.gini(RANKED[2:], 4))


def test_novelty_by_hand() -> None:
    buyers = np.array([7, 3, 1, 0, 0])
    assert ranking.novelty(RANKED, buyers, 7)[:2] == pytest.approx([(2 + 0 + 3) / 3, (1 + 3) / 2])
    assert math.isnan(ranking.novelty(RANKED, buyers, 7)[2])


def test_intra_list_diversity_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0], [-5.0, 0.0], [1.0, 1.0]])
    lists = np.array([[0, 2, 3], [0, 1, -1], [4, -1, -1]])
    found = ranking.intra_list_diversity(lists, vectors)
    assert found[:2] == pytest.approx([1 - (0 - 1 + 0) / 3, 1 - 0.6], abs=1e-6)
    assert math.isnan(found[2])
