"""How parts are scored, ranked and weighed."""

import math

import numpy as np
import pytest
from recommender_cases import cells, histories_of
from scipy.sparse import csr_matrix

from models.evaluation import ranking
from models.evaluation.ranking import NOTHING
from models.recommender import blend
from models.recommender.blend import FLOOR, HeldOut, gather, learn_weights, ndcg_of, normalised, quality, top
from models.recommender.config import BlendConfig
from models.recommender.interactions import Histories
from models.recommender.parts import Neighbours, Part, Popularity, Projection

ITEMS = 40
CONFIG = BlendConfig(users=100, candidates=20, places=5, sweeps=3)


def random_part(seed: int, scale: float = 1.0) -> Neighbours:
    return Neighbours(csr_matrix(scale * np.random.default_rng(seed).random((ITEMS, ITEMS), dtype=np.float32)), 0.0)


def successor() -> Neighbours:
    """Says that item i leads to item i + 1."""
    return Neighbours(csr_matrix(np.roll(np.eye(ITEMS, dtype=np.float32), 1, axis=1)), 0.0)


def shoppers(users: int = 60, seed: int = 0) -> HeldOut:
    """Three even items each; the next of one of them is bought then."""
    rng = np.random.default_rng(seed)
    lists = [(2 * rng.permutation(ITEMS // 2)[:3]).tolist() for _ in range(users)]
    return HeldOut.of(histories_of(*lists), cells([[found[rng.integers(3)] + 1] for found in lists], ITEMS))


def test_neighbours_sum_over_the_history_and_fade() -> None:
    matrix = csr_matrix(np.array([[0, 2, 1], [4, 0, 0], [0, 0, 0]], dtype=np.float32))
    asked = histories_of([0, 1], [2], weights=[1, 0.5, 1])
    assert Neighbours(matrix, 0.0).scores(asked).tolist() == [[2, 2, 1], [0, 0, 0]]
    assert Neighbours(matrix, math.log(2)).scores(asked)[0].tolist() == pytest.approx([2, 1, 0.5])


def test_projection_multiplies_the_sum_of_what_was_read() -> None:
    reading, answering = np.array([[1, 0], [0, 2]], dtype=np.float32), np.array([[1, 1], [3, 0]], dtype=np.float32)
    part = Projection(reading, answering, math.log(2))
    assert part.scores(histories_of([0, 1]))[0].tolist() == pytest.approx([2.5, 1.5])  # (1/2, 2) with each


def test_popularity_is_the_logarithm_of_buyers_for_everyone() -> None:
    scores = Popularity(np.array([0, 1, 7], dtype=np.float32)).scores(histories_of([0], []))
    assert scores.tolist() == [pytest.approx([0, math.log(2), math.log(8)])] * 2


@pytest.mark.parametrize(
    "part", [random_part(0), Projection(np.eye(ITEMS, 3, dtype=np.float32), np.ones((ITEMS, 3), np.float32), 0.3)]
)
def test_restored_parts_score_the_same(part: Neighbours | Projection) -> None:
    asked = histories_of([1, 2], [], [5])
    restored = type(part).restore(part.state())
    np.testing.assert_allclose(restored.scores(asked), part.scores(asked), rtol=1e-6)
    counted = Popularity(np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(Popularity.restore(counted.state()).scores(asked), counted.scores(asked))


@pytest.mark.parametrize(
    "part",
    [
        random_part(0),
        successor(),
        Projection(*np.random.default_rng(0).standard_normal((2, ITEMS, 3)).astype(np.float32), 0.3),
        Popularity(np.arange(ITEMS, dtype=np.float32)),
    ],
)
def test_a_reading_knows_some_scores_and_the_spread_of_all(part: Part) -> None:
    reading, asked = part.read(histories_of([1, 2], [], [5])), np.array([3, 0, 39, 6])
    whole = reading.all()
    assert whole.shape == (3, ITEMS)
    np.testing.assert_allclose(reading.at(asked), whole[:, asked], rtol=1e-5)
    np.testing.assert_allclose(reading.spread(), whole.std(axis=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("part", [random_part(0, scale=1000.0), Popularity(np.arange(ITEMS, dtype=np.float32))])
def test_normalised_scores_have_a_spread_of_one(part: Part) -> None:
    found = normalised(part, histories_of([1, 2], [5]))
    assert found.std(axis=1) == pytest.approx([1, 1], rel=1e-4)


def test_a_part_that_says_nothing_stays_at_zero() -> None:
    assert not normalised(random_part(0), histories_of([])).any()


def test_top_leaves_out_the_history() -> None:
    scores = np.array([[5, 4, 3, 2], [1, 2, 3, 4]], dtype=np.float32)
    before, asked = scores.copy(), histories_of([0, 2], [])
    assert top(scores, asked, 2).tolist() == [[1, 3], [3, 2]]
    assert top(scores, asked, 2, exclude=False).tolist() == [[0, 1], [3, 2]]
    np.testing.assert_array_equal(scores, before)


def test_top_ends_where_nothing_is_left() -> None:
    scores = np.array([[5, 4, 3, 2], [-np.inf, 2, -np.inf, 4]], dtype=np.float32)
    found = top(scores, histories_of([0, 2], [1]), 3)
    assert found.tolist() == [[1, 3, NOTHING], [3, NOTHING, NOTHING]]
    assert top(scores, histories_of([0], [1]), 9).shape == (2, 4)


def test_held_out_users_have_a_history_and_something_to_find() -> None:
    held = HeldOut.of(histories_of([1, 2], [], [3], [4]), cells([[5], [6], [], [7, 8]], 9))
    assert held.users.tolist() == [0, 3]
    assert [held.histories.user(row)[0].tolist() for row in range(2)] == [[1, 2], [4]]
    assert [row.indices.tolist() for row in held.relevant] == [[5], [7, 8]]


def test_what_is_bought_again_is_not_to_be_found() -> None:
    held = HeldOut.of(histories_of([1, 2], [3], weights=[1, 0.2, 1]), cells([[1, 2, 5], [3]], 9))
    assert held.users.tolist() == [0]
    assert held.relevant[0].indices.tolist() == [5]


def rows(held: HeldOut) -> list[tuple[int, list[int], list[int]]]:
    return [(int(held.users[r]), held.histories.user(r)[0].tolist(), held.relevant[r].indices.tolist()) for r in range(len(held))]


def test_drawn_users_keep_what_is_theirs() -> None:
    held = shoppers()
    whole, found = rows(held), rows(held.draw(10, seed=1))
    assert len(found) == 10
    assert all(row in whole for row in found)
    assert len({user for user, *_ in found}) == 10
    assert rows(held.draw(10, seed=1)) == found != rows(held.draw(10, seed=2))
    assert rows(held.draw(60, seed=1)) == whole


def test_batches_hold_everyone_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held = shoppers(users=20)
    whole, expected = quality(random_part(1).scores, held, 5), rows(held)
    monkeypatch.setattr(blend, "USERS_A_BATCH", 7)
    batches = list(held.batches())
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert [row for batch in batches for row in rows(batch)] == expected
    assert quality(random_part(1).scores, held, 5) == pytest.approx(whole)


def test_quality_by_hand() -> None:
    """The item at the second place of five, and two of which one is at the first."""
    table = np.array([[0, 5, 4, 3, 2, 1]] * 6, dtype=np.float32)
    held = HeldOut.of(histories_of([0], [0]), cells([[2], [1, 5]], 6))
    second = 1 / (1 + 1 / math.log2(3))
    assert quality(Neighbours(csr_matrix(table), 0.0).scores, held, 4) == pytest.approx((1 / math.log2(3) + second) / 2)


@pytest.mark.parametrize("places", [1, 5, 60])
def test_quality_is_the_mean_ndcg_of_the_evaluation(places: int) -> None:
    part, held = random_part(4), shoppers()
    ranked = top(part.scores(held.histories), held.histories, places)
    hit = ranking.hits(ranked, held.relevant)
    expected = ranking.ndcg(hit, np.diff(held.relevant.indptr), places).mean()
    assert quality(part.scores, held, places) == pytest.approx(float(expected))


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
    knows = Neighbours((random_part(3).matrix + 0.7 * successor().matrix).tocsr(), 0.0)
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
    parts = {"first": Neighbours(csr_matrix(first), 0.0), "second": Neighbours(csr_matrix(second), 0.0)}
    weights, _ = learn_weights(parts, shoppers(), CONFIG)
    assert min(weights.values()) > 0


def test_popularity_always_counts_a_little() -> None:
    parts = {"knows": successor(), "popularity": Popularity(np.arange(ITEMS, dtype=np.float32)[::-1].copy())}
    weights, _ = learn_weights(parts, shoppers(), CONFIG)
    assert weights["popularity"] >= FLOOR > 0
