"""What the same users buy: the powers are chosen by what was held out, and kept."""

from pathlib import Path

import numpy as np
from recommender_cases import bare_items, cells, choice_of, histories_of, purchases_of, settings_of

from models.recommender.held_out import HeldOut
from models.recommender.neighbours import co_purchases, damped_by_items
from models.recommender.part import Explanation
from models.recommender.parts.co_purchase import CoPurchase, CoPurchaseConfig

ITEMS = 14
CONFIG = CoPurchaseConfig(user_powers=(0.0, 0.5), item_powers=(0.0, 0.5))


def test_the_powers_and_the_decay_that_rank_best_are_chosen_and_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lists = [(7 * (user % 2) + rng.permutation(7)[:4]).tolist() for user in range(40)]
    held = HeldOut.of(histories_of(*(row[:-1] for row in lists)), cells([row[-1:] for row in lists], ITEMS))
    settings, choice = settings_of(tmp_path, CONFIG), choice_of(held, 0.0, 0.7)
    training = purchases_of(*(row[:-1] for row in lists), items=bare_items(ITEMS))
    part = CoPurchase.fit(training, choice, settings)
    quality = {
        (user, item): choice.quality(
            CoPurchase(damped_by_items(co_purchases(training.matrix, user, 100), training.items.buyers, item), 0.7, user, item)
        )
        for user in CONFIG.user_powers
        for item in CONFIG.item_powers
    }
    assert quality[part.user_power, part.item_power] == max(quality.values())
    everything = purchases_of(*lists, items=bare_items(ITEMS))
    again = part.refit(everything, settings)
    assert (again.user_power, again.item_power, again.decay) == (part.user_power, part.item_power, part.decay)
    counts = co_purchases(everything.matrix, part.user_power, 100)
    expected = damped_by_items(counts, everything.items.buyers, part.item_power)
    np.testing.assert_array_equal(again.matrix.toarray(), expected.toarray())


def test_says_that_the_same_users_buy_both() -> None:
    part, items = CoPurchase(cells([[1], [0]], 2), 0.0, 0.3, 0.2), bare_items(2)
    assert part.explain(items, 0, 1, 3) == Explanation("bought_together", "Goes with item 1: the same users buy both.")
