"""What is bought after what, against counting by hand."""

from pathlib import Path

import numpy as np
from recommender_cases import bare_items, cells, choice_of, histories_of, purchases_of, settings_of

from models.recommender.held_out import HeldOut, top
from models.recommender.parts.transitions import Transitions, TransitionsConfig, transitions


def test_transitions_by_hand() -> None:
    """0 1 2 by one user, and 2 0 by another who only put 0 in the cart; two places ahead, the second counting half."""
    config = TransitionsConfig(window=2, fading=0.5, backwards=0.25)
    found = transitions(histories_of([0, 1, 2], [2, 0], weights=[1, 1, 1, 1, 0.5]), 4, config, 4).toarray()
    after = np.zeros((4, 4))
    after[0, 1] = after[1, 2] = 1
    after[0, 2] = 0.5  # two places later
    after[2, 0] = 0.5  # the cart
    np.testing.assert_allclose(found, after + 0.25 * after.T)


def test_transitions_look_no_further_than_the_window() -> None:
    config = TransitionsConfig(window=1, fading=1.0, backwards=0.0)
    found = transitions(histories_of([3, 1, 0], [2], []), 4, config, 4).toarray()
    assert np.argwhere(found).tolist() == [[1, 0], [3, 1]]


def test_transitions_of_single_purchases_are_none() -> None:
    assert transitions(histories_of([0], [2], []), 3, TransitionsConfig(), 3).nnz == 0


def test_possible_only_where_the_order_is_known() -> None:
    assert Transitions.possible(purchases_of([0, 1], items=bare_items(3)), TransitionsConfig())
    assert not Transitions.possible(purchases_of([0, 1], items=bare_items(3), ordered=False), TransitionsConfig())


def test_finds_what_comes_next_in_a_ring_and_keeps_what_it_chose(tmp_path: Path) -> None:
    walks = [[(start + place) % 12 for place in range(4)] for start in range(12)]
    nexts = [(walk[-1] + 1) % 12 for walk in walks]
    held = HeldOut.of(histories_of(*walks), cells([[item] for item in nexts], 12))
    settings, choice = settings_of(tmp_path, TransitionsConfig(item_powers=(0.0, 0.3))), choice_of(held, 0.0, 1.0)
    training = purchases_of(*walks, items=bare_items(12))
    part = Transitions.fit(training, choice, settings)
    assert choice.quality(part) == 1.0
    assert top(part.scores(histories_of(*walks)), histories_of(*walks), 1)[:, 0].tolist() == nexts
    again = part.refit(training, settings)
    assert (again.item_power, again.decay) == (part.item_power, part.decay)
    np.testing.assert_array_equal(again.matrix.toarray(), part.matrix.toarray())
