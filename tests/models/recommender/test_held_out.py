"""Users whose next purchases are held out: how they are ranked for, drawn and measured."""

import math

import numpy as np
import pytest
from recommender_cases import cells, histories_of, sparse_part
from scipy.sparse import csr_matrix

from models.evaluation import ranking
from models.evaluation.ranking import NOTHING
from models.recommender import held_out
from models.recommender.held_out import HeldOut, quality, top
from models.recommender.parts.transitions import Transitions

ITEMS = 40


def random_part(seed: int, scale: float = 1.0) -> Transitions:
    return sparse_part(csr_matrix(scale * np.random.default_rng(seed).random((ITEMS, ITEMS), dtype=np.float32)), 0.0)


def shoppers(users: int = 60, seed: int = 0) -> HeldOut:
    """Three even items each; the next of one of them is bought then."""
    rng = np.random.default_rng(seed)
    lists = [(2 * rng.permutation(ITEMS // 2)[:3]).tolist() for _ in range(users)]
    return HeldOut.of(histories_of(*lists), cells([[found[rng.integers(3)] + 1] for found in lists], ITEMS))


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
    assert held.relevant[0].indices.tolist() == [2, 5]


def test_what_was_only_looked_at_may_be_bought_next() -> None:
    scores = np.array([[5, 4, 3, 2]], dtype=np.float32)
    assert top(scores, histories_of([0, 1], weights=[1, 0.2]), 2).tolist() == [[1, 2]]


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
    monkeypatch.setattr(held_out, "USERS_A_BATCH", 7)
    batches = list(held.batches())
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert [row for batch in batches for row in rows(batch)] == expected
    assert quality(random_part(1).scores, held, 5) == pytest.approx(whole)


def test_quality_by_hand() -> None:
    """The item at the second place of five, and two of which one is at the first."""
    table = np.array([[0, 5, 4, 3, 2, 1]] * 6, dtype=np.float32)
    held = HeldOut.of(histories_of([0], [0]), cells([[2], [1, 5]], 6))
    second = 1 / (1 + 1 / math.log2(3))
    assert quality(sparse_part(csr_matrix(table), 0.0).scores, held, 4) == pytest.approx((1 / math.log2(3) + second) / 2)


@pytest.mark.parametrize("places", [1, 5, 60])
def test_quality_is_the_mean_ndcg_of_the_evaluation(places: int) -> None:
    part, held = random_part(4), shoppers()
    ranked = top(part.scores(held.histories), held.histories, places)
    hit = ranking.hits(ranked, held.relevant)
    expected = ranking.ndcg(hit, np.diff(held.relevant.indptr), places).mean()
    assert quality(part.scores, held, places) == pytest.approx(float(expected))
