"""How parts are weighed."""

from typing import Any

import numpy as np
import pytest
from recommender_cases import cells, histories_of, sparse_part
from scipy.sparse import csr_matrix

from models.recommender.blend import BlendConfig, gather, learn_weights, ndcg_of, normalised
from models.recommender.held_out import HeldOut, quality
from models.recommender.interactions import Histories
from models.recommender.part import Part
from models.recommender.parts.popularity import Popularity
from models.recommender.parts.transitions import Transitions

ITEMS = 40
CONFIG = BlendConfig(users=100, candidates=20, places=5, sweeps=3)


def random_part(seed: int, scale: float = 1.0) -> Transitions:
    return sparse_part(csr_matrix(scale * np.random.default_rng(seed).random((ITEMS, ITEMS), dtype=np.float32)), 0.0)


def successor() -> Transitions:
    """Says that item i leads to item i + 1."""
    return sparse_part(csr_matrix(np.roll(np.eye(ITEMS, dtype=np.float32), 1, axis=1)), 0.0)


def shoppers(users: int = 60, seed: int = 0) -> HeldOut:
    """Three even items each; the next of one of them is bought then."""
    rng = np.random.default_rng(seed)
    lists = [(2 * rng.permutation(ITEMS // 2)[:3]).tolist() for _ in range(users)]
    return HeldOut.of(histories_of(*lists), cells([[found[rng.integers(3)] + 1] for found in lists], ITEMS))


@pytest.mark.parametrize("part", [random_part(0, scale=1000.0), Popularity(np.arange(ITEMS, dtype=np.float32))])
def test_normalised_scores_have_a_spread_of_one(part: Part[Any]) -> None:
    found = normalised(part, histories_of([1, 2], [5]))
    assert found.std(axis=1) == pytest.approx([1, 1], rel=1e-4)


def test_a_part_that_says_nothing_stays_at_zero() -> None:
    assert not normalised(random_part(0), histories_of([])).any()


def test_candidates_rank_as_all_items_do() -> None:
    parts, held = [random_part(1), random_part(2), successor()], shoppers()
    weights = np.array([0.3, 1.0, 0.5], dtype=np.float32)

    def scores(asked: Histories) -> np.ndarray:
        return sum(weight * normalised(part, asked) for weight, part in zip(weights, parts, strict=True))

    assert ndcg_of(gather(parts, held, ITEMS), weights, 5) == pytest.approx(quality(scores, held, 5), rel=1e-5)
    few = gather(parts, held, 5)
    assert few.features.shape == (60, 15, 3)
    assert few.relevant.tolist() == [1] * 60
    assert few.hit.sum(axis=1).max() == 1  # an item that several parts name counts once
    alone = np.array([1, 0, 0], dtype=np.float32)
    assert ndcg_of(few, alone, 3) == pytest.approx(quality(parts[0].scores, held, 3), rel=1e-5)


def test_weights_find_the_part_that_knows() -> None:
    knows = sparse_part((random_part(3).matrix + 0.7 * successor().matrix).tocsr(), 0.0)
    parts = {"noise": random_part(1), "knows": knows, "more noise": random_part(2, scale=100.0)}
    held = shoppers(users=200)
    weights, reached = learn_weights(parts, held, CONFIG)
    assert weights["knows"] == 1
    assert max(weights["noise"], weights["more noise"]) <= 0.5

    def scores(asked: Histories) -> np.ndarray:
        return sum(weights[name] * normalised(part, asked) for name, part in parts.items())

    equal = quality(lambda asked: sum(normalised(part, asked) for part in parts.values()), held, 5)
    assert quality(scores, held, 5) == pytest.approx(reached, rel=1e-3)
    assert reached > 1.2 * equal
    assert reached >= quality(knows.scores, held, 5)


def test_two_halves_of_the_truth_both_count() -> None:
    truth = successor().matrix.toarray()
    first, second = truth.copy(), truth.copy()
    first[: ITEMS // 2], second[ITEMS // 2 :] = 0, 0
    parts = {"first": sparse_part(csr_matrix(first), 0.0), "second": sparse_part(csr_matrix(second), 0.0)}
    weights, _ = learn_weights(parts, shoppers(), CONFIG)
    assert min(weights.values()) > 0


def test_popularity_always_counts_a_little() -> None:
    parts = {"knows": successor(), "popularity": Popularity(np.arange(ITEMS, dtype=np.float32)[::-1].copy())}
    weights, _ = learn_weights(parts, shoppers(), CONFIG)
    assert weights["popularity"] >= CONFIG.floor > 0
