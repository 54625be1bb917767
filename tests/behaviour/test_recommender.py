"""What anyone would expect of the recommender, whatever is inside it: invariance, direction, minimum function.

The answers are those of the committed bundle, so that they are the same on every machine but for rounding. What it reaches
stands beside each bound.
"""

from collections.abc import Sequence
from dataclasses import replace

import committed
import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from models.evaluation.ranking import intra_list_diversity
from models.recommender.answers import Event, Query, Recommendations
from models.recommender.family import FAMILY
from models.recommender.predictor import RecommenderPredictor

USERS = range(1, 31)


@pytest.fixture(scope="module")
def products(recommender_catalogue: Catalogue) -> pd.DataFrame:
    return recommender_catalogue.products().drop_duplicates("product_id").set_index("product_id")


@pytest.fixture(scope="module")
def bought(recommender_catalogue: Catalogue) -> dict[int, list[int]]:
    table = recommender_catalogue.purchases().sort_values("timestamp", kind="stable")
    return {int(user): rows.tolist() for user, rows in table.groupby("user_id")["item_id"]}


def ask(recommender: RecommenderPredictor, query: Query) -> Recommendations:
    (answer,) = recommender.recommend([query])
    return answer


def ids(answer: Recommendations) -> list[object]:
    return [item.item_id for item in answer.items]


def session(items: Sequence[int], **values: object) -> Query:
    return replace(Query(events=tuple(Event(item) for item in items)), **values)


@pytest.mark.slow
def test_beats_popularity(recommender_catalogue: Catalogue) -> None:
    run = FAMILY.evaluate(committed.bundle("recommender"), recommender_catalogue, committed.config("recommender").evaluation)
    value = {name: metric.value for name, metric in run.evaluation.metrics.items()}
    assert run.evaluation.n == recommender_catalogue.purchases()["user_id"].nunique()
    for name, times in (("ndcg_at_10", 1.5), ("recall_at_20", 1.15), ("mrr", 1.5)):  # 1.96, 1.31 and 2.38 times
        assert value[name] > times * value[f"popularity.{name}"], name
    assert value["coverage"] > 5 * value["popularity.coverage"]  # 10.5 times


def test_a_stranger_and_a_visitor_are_shown_what_sells(recommender: RecommenderPredictor) -> None:
    stranger, visitor = recommender.recommend([Query(user_id="nobody"), Query()])
    assert ids(stranger) == ids(visitor)
    assert visitor.shown_popularity is not None
    assert visitor.shown_popularity > 0.95  # 0.990
    assert {item.reason.kind for item in visitor.items} == {"popular"}


@pytest.mark.slow
def test_what_was_bought_is_left_out(recommender: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    for user in USERS:
        assert not set(bought[user]) & set(ids(ask(recommender, Query(user_id=user, num_recs=500))))


def test_what_was_just_bought_leaves_and_changes_the_answer(
    recommender: RecommenderPredictor, bought: dict[int, list[int]]
) -> None:
    for user in USERS:
        before = ask(recommender, Query(user_id=user))
        first = before.items[0].item_id
        after = ask(recommender, Query(user_id=user, events=(Event(first),)))
        assert first not in ids(after)
        assert ids(after) != ids(before)[1:]
        assert not set(ids(after)) & set(bought[user])


def test_more_of_what_a_session_holds_is_recommended(recommender: RecommenderPredictor, products: pd.DataFrame) -> None:
    """Three products of a sub-category in a visitor's session: the answer holds more of it than a visitor is shown."""
    visitor = ids(ask(recommender, Query(num_recs=20)))
    rises = []
    for sub, rows in products.drop(committed.COLD).groupby("sub_category"):
        if len(rows) >= 12:  # so many that some are left to recommend
            shown = ids(ask(recommender, session(rows.index[:3].tolist(), num_recs=20)))
            share, before = (np.mean(products.loc[items, "sub_category"] == sub) for items in (shown, visitor))
            rises.append(share - before)
    assert len(rises) == 12
    assert min(rises) > 0  # 0.10, two of the 20 places
    assert np.mean(rises) > 0.25  # 0.35


@pytest.mark.slow
def test_a_purchase_counts_more_than_a_view(recommender: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    """What was viewed moves the scores of other items, and less than the same item bought does."""
    moved = []
    for user in USERS:
        item = bought[user % len(USERS) + 1][-1]
        if item in bought[user]:
            continue
        plain, viewed, owned = (
            {x.item_id: x.score for x in ask(recommender, Query(user_id=user, events=events, num_recs=500)).items}
            for events in ((), (Event(item, "view"),), (Event(item),))
        )
        common = [key for key in plain if key in viewed and key in owned]
        moved.append([np.mean([abs(other[key] - plain[key]) for key in common]) for other in (viewed, owned)])
    less, more = np.array(moved).T
    assert len(moved) > 20
    assert less.min() > 0.002  # 0.0066
    assert (more > 2 * less).all()  # 4.0 times at least


def test_a_product_nobody_bought_is_recommended_to_who_likes_its_kind(
    recommender: RecommenderPredictor, products: pd.DataFrame
) -> None:
    likeness = sum(
        products[name] == products.loc[committed.COLD, name] for name in ("brand", "article_type", "base_colour", "gender")
    )
    history = [int(key) for key in likeness.drop(committed.COLD).sort_values(kind="stable").index[-4:]]
    answer = ask(recommender, session(history, num_recs=700))
    assert ids(answer).index(committed.COLD) < 0.15 * len(products)  # 0.06
    assert ids(ask(recommender, Query(num_recs=700))).index(committed.COLD) > 0.5 * len(products)  # 0.998


@pytest.mark.slow
def test_reasons_hold_when_the_named_item_is_taken_away(recommender: RecommenderPredictor, bought: dict[int, list[int]]) -> None:
    """The score falls by what was said, and by no more without any other item."""
    kinds = set()
    for user in USERS[:8]:
        history = bought[user][-7:]  # so few that each is tried
        answer = ask(recommender, session(history, num_recs=6))
        left = {
            item: {x.item_id: x.score for x in ask(recommender, session([h for h in history if h != item], num_recs=700)).items}
            for item in history
        }
        for found in answer.items:
            drops = {item: found.score - said[found.item_id] for item, said in left.items()}
            assert drops[found.reason.item_id] == pytest.approx(found.reason.drop, abs=1e-3)
            assert max(drops.values()) == pytest.approx(found.reason.drop, abs=1e-3)
            assert found.reason.drop > 0.1  # 0.48 at least
            kinds.add(found.reason.kind)
    assert "popular" not in kinds
    assert len(kinds) > 1


def test_diverse_answers_are_less_alike(recommender: RecommenderPredictor) -> None:
    codes = recommender.recommender.items.codes

    def unlike(diversity: float) -> float:
        answers = recommender.recommend([Query(user_id=user, diversity=diversity) for user in USERS])
        ranked = np.array([[codes[str(item)] for item in ids(answer)] for answer in answers])
        return float(intra_list_diversity(ranked, recommender.recommender.features).mean())

    assert unlike(0.4) > unlike(0.0) + 0.02  # 0.892 and 0.848
    assert unlike(0.9) > unlike(0.4) + 0.02  # 0.951


def test_diversity_costs_no_first_place(recommender: RecommenderPredictor) -> None:
    for user in USERS:
        plain, diverse = recommender.recommend([Query(user_id=user), Query(user_id=user, diversity=0.5)])
        assert plain.items[0].score > plain.items[1].score + 0.01  # 0.08 at least: no tie
        assert diverse.items[0].item_id == plain.items[0].item_id


def test_the_order_of_queries_changes_nothing(recommender: RecommenderPredictor) -> None:
    queries = [Query(user_id=user) for user in USERS]
    assert recommender.recommend(queries[::-1])[::-1] == recommender.recommend(queries)


def test_ids_as_text_and_as_numbers_are_the_same(recommender: RecommenderPredictor) -> None:
    number, text = Query(user_id=3, events=(Event(10_005),)), Query(user_id="3", events=(Event("10005"),))
    assert ask(recommender, number) == ask(recommender, text)


def test_what_is_excluded_is_neither_answered_nor_a_reason_and_the_answer_stays_full(recommender: RecommenderPredictor) -> None:
    everything = [str(key) for key in recommender.recommender.items.keys]
    for user in USERS:
        plain = ask(recommender, Query(user_id=user))
        named = {str(item.reason.item_id) for item in plain.items if item.reason.item_id is not None}
        gone = frozenset({*map(str, ids(plain)), *named})
        rest = ask(recommender, Query(user_id=user, exclude=gone))
        assert len(rest.items) == 10
        assert not gone & set(map(str, ids(rest)))
        reasons = [item.reason for item in rest.items]
        assert not gone & {str(reason.item_id) for reason in reasons}
        titles = [recommender.recommender.items.title(recommender.recommender.items.codes[name]) for name in named]
        assert not [title for title in titles for reason in reasons if reason.item_id is None and title in reason.text]
        assert (rest.basis, rest.history) == (plain.basis, plain.history)
    few = frozenset(everything[:-3])
    assert set(ids(ask(recommender, Query(exclude=few)))) == set(recommender.recommender.items.keys[-3:])
    assert ask(recommender, Query(exclude=frozenset(everything))).items == ()


def test_what_others_do_not_see_changes_nothing(recommender: RecommenderPredictor) -> None:
    plain, odd, again = recommender.recommend(
        [Query(user_id=3), Query(user_id=3, exclude=frozenset({"nobody"})), Query(user_id=3)]
    )
    assert plain == odd == again


def test_a_long_history_of_excluded_items_is_answered_with_what_sells_as_the_reason(recommender: RecommenderPredictor) -> None:
    keys = recommender.recommender.items.keys[:40]
    answer = ask(recommender, session(keys, exclude=frozenset(map(str, keys))))
    assert len(answer.items) == 10
    assert {item.reason.kind for item in answer.items} == {"popular"}
    assert {item.reason.item_id for item in answer.items} == {None}
