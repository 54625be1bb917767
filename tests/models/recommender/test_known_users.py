"""Users whom a version shows, to be tried with."""

import committed
import numpy as np
import pytest

from models.errors import NotSupported
from models.recommender.answers import Query
from models.recommender.interactions import Histories
from models.recommender.predictor import NEWEST, TELLING, RecommenderPredictor


@pytest.fixture(scope="module")
def trained() -> RecommenderPredictor:
    return RecommenderPredictor.load(committed.bundle("recommender"))


def knowing(trained: RecommenderPredictor, histories: dict) -> RecommenderPredictor:
    """The model with users of these items, each with its weight, oldest first."""
    rows = [(user, item, weight) for user, done in enumerate(histories.values()) for item, weight in done]
    users, items, weights = (np.array(column) for column in zip(*rows, strict=True))
    of = Histories.of(users.astype(np.int64), items.astype(np.int32), weights.astype(np.float32), len(histories))
    return RecommenderPredictor(trained.recommender, list(histories), of, trained.config)


def test_users_with_a_history_that_tells_something_and_the_newest_of_it(trained: RecommenderPredictor) -> None:
    [few, many] = trained.known_users([3, 20])
    assert few == many[:3] == trained.known_users([3])[0]
    assert len({user.user_id for user in many}) == 20
    for user in many:
        assert user.purchases in TELLING
        assert len(user.newest) == min(user.purchases, NEWEST)
        [answer] = trained.recommend([Query(user_id=user.user_id)])
        assert (answer.basis, answer.history) == ("history", user.purchases)
        assert not {item.item_id for item in answer.items} & {item.item_id for item in user.newest}
    assert len({tuple(user.newest) for user in many}) == 20


def test_others_follow_and_who_bought_nothing_is_left_out(trained: RecommenderPredictor) -> None:
    keys = trained.recommender.items.keys
    looked, bought = [(1, 0.2), (2, 0.2)], [(3, 1.0), (1, 0.2), (4, 1.0)]
    six = [(item, 1.0) for item in range(10, 16)]
    model = knowing(trained, {"looked": looked, 7: bought, "six": six})
    [users] = model.known_users([10])
    assert [(user.user_id, user.purchases) for user in users] == [("six", 6), (7, 2)]
    assert [item.item_id for item in users[1].newest] == [keys[4], keys[3]]
    assert (users[1].newest[0].title, users[1].newest[0].price) == (
        model.recommender.items.titles[4],
        model.recommender.items.price(4),
    )
    with pytest.raises(NotSupported, match="knows no user who bought anything"):
        knowing(trained, {"looked": looked}).known_users([1])
