"""Popularity: the same for everyone, and why."""

import math
from pathlib import Path

import numpy as np
import pytest
from recommender_cases import bare_items, choice_of, histories_of, purchases_of, settings_of
from scipy.sparse import csr_matrix

from models.recommender.held_out import HeldOut
from models.recommender.part import Explanation
from models.recommender.parts.popularity import Popularity


def test_popularity_is_the_logarithm_of_buyers_for_everyone() -> None:
    scores = Popularity(np.array([0, 1, 7], dtype=np.float32)).scores(histories_of([0], []))
    assert scores.tolist() == [pytest.approx([0, math.log(2), math.log(8)])] * 2


def test_counts_the_buyers_of_all_purchases_once_refitted(tmp_path: Path) -> None:
    nobody, settings = HeldOut(histories_of(), csr_matrix((0, 3)), np.arange(0)), settings_of(tmp_path)
    part = Popularity.fit(purchases_of([0, 1], [1], items=bare_items(3)), choice_of(nobody), settings)
    assert part.buyers.tolist() == [1, 2, 0]
    assert part.refit(purchases_of([0, 1], [1, 2], items=bare_items(3)), settings).buyers.tolist() == [1, 2, 1]


def test_says_how_many_bought_an_item_or_that_it_is_new() -> None:
    items = bare_items(2, buyers=np.array([1234, 0], dtype=np.float32))
    part = Popularity(items.buyers)
    assert part.explain(items, 0, None, 3) == Explanation("popular", "Bought by 1,234 users.")
    assert part.explain(items, 1, None, 3) == Explanation("popular", "New in the catalogue.")
