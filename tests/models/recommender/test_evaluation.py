"""Metrics of a recommender against values worked out by hand, with parts whose scores are written down."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from catalog.catalogue import Catalogue
from configs.errors import VitrinaError
from configs.schema import EvaluationConfig, GateConfig
from models.evaluation import ranking
from models.evaluation.bootstrap import totals_interval
from models.evaluation.gates import decide
from models.evaluation.ranking import NOTHING
from models.evaluation.results import Evaluation, Measured, Metric
from models.family import EvaluationRun
from models.recommender.answers import Query, Reason, ReasonKind, Recommendation, Recommendations
from models.recommender.evaluate import BLEND, MEANS, activity, measure, ranked_lists, sales_tiers
from models.recommender.held_out import USERS_A_BATCH, HeldOut, top
from models.recommender.interactions import Histories
from models.recommender.items import Items
from models.recommender.model import Recommender
from models.recommender.part import Choice, NoConfig, Part, Purchases, Settings
from models.recommender.parts.popularity import Popularity
from models.recommender.readings import Floats, Reading, SparseReading
from models.recommender.report import write_report

BUYERS = np.array([8, 4, 4, 2, 1, 1], dtype=np.float32)
FEATURES = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [-1, 0]], dtype=np.float32)
TRAINING_USERS = 15
CONFIG = EvaluationConfig(bootstrap_samples=50, min_slice_rows=1, latency_calls=5)


@dataclass
class Told(Part[NoConfig]):
    """Scores of an item are those of the oldest item of the history: row [I] of `table`; 0 for all without a history."""

    table: Floats
    calls: int = 0

    label: ClassVar[str] = "Told"
    reason: ClassVar[ReasonKind] = "bought_together"

    @classmethod
    def fit(cls, purchases: Purchases, choice: Choice, settings: Settings[NoConfig]) -> Self:
        raise NotImplementedError

    def refit(self, purchases: Purchases, settings: Settings[NoConfig]) -> Self:
        raise NotImplementedError

    def read(self, histories: Histories) -> Reading:
        self.calls += 1
        rows = [self.table[histories.user(u)[0][0]] if histories.lengths[u] else 0 * self.table[0] for u in range(len(histories))]
        return SparseReading(csr_matrix(np.array(rows, dtype=np.float32)))


@dataclass
class Served:
    """Answers as the recommender scores; a diverse answer is the same list turned round."""

    recommender: Recommender
    histories: dict[str, list[int]]

    def recommend(self, queries: Sequence[Query]) -> list[Recommendations]:
        self.asked = [*getattr(self, "asked", []), list(queries)]
        reason, keys = Reason("popular", "Many bought it.", 0.0), self.recommender.items.keys
        answers = [tuple(Recommendation(keys[code], 1.0, {}, reason) for code in codes) for codes in self.rank(queries)]
        return [Recommendations(items, "history", 1) for items in answers]

    def rank(self, queries: Sequence[Query]) -> list[NDArray[np.int64]]:
        return [self.ranked(query) for query in queries]

    def ranked(self, query: Query) -> NDArray[np.int64]:
        history = history_of([self.histories[str(query.user_id)]])
        codes = top(self.recommender.scores(history), history, query.num_recs)[0]
        return codes[codes >= 0][:: -1 if query.diversity > 0.7 else 1]


def history_of(lists: list[list[int]]) -> Histories:
    users = np.repeat(np.arange(len(lists)), [len(found) for found in lists])
    codes = np.array([code for found in lists for code in found], dtype=np.int64)
    return Histories.of(users, codes, np.ones(len(codes)), len(lists))


def sparse(lists: list[list[int]], items: int = 6) -> csr_matrix:
    found = np.zeros((len(lists), items))
    for row, codes in enumerate(lists):
        found[row, codes] = 1
    return csr_matrix(found)


def recommender(table: Any, weights: tuple[float, float] = (1.0, 0.0)) -> Recommender:
    items = Items(
        tuple(f"i{code}" for code in range(6)),
        csr_matrix((6, 0)),
        (),
        {},
        ("",) * 6,
        np.full(6, np.nan, dtype=np.float32),
        BUYERS,
    )
    parts = {"told": Told(np.array(table, dtype=np.float32)), "popularity": Popularity(BUYERS)}
    return Recommender(items, parts, dict(zip(parts, weights, strict=True)), FEATURES, 200)


# After item 0: 1 2 3 4 5; after item 5: 4 3 2 1 0; item 3 says nothing.
TABLE = np.zeros((6, 6))
TABLE[0] = [9, 5, 4, 3, 2, 1]
TABLE[5] = [1, 2, 3, 4, 5, 9]

USERS = ["a", "b", "c"]
HISTORIES = [[0], [5], [3]]
RELEVANT = [[2, 4], [4], [0]]


def measured(unknown: list[int] | None = None, weights: tuple[float, float] = (1.0, 0.0), relevant: Any = None) -> Measured:
    found = recommender(TABLE, weights)
    served = Served(found, dict(zip(USERS, HISTORIES, strict=True)))
    return measure(
        found,
        served,
        USERS,
        history_of(HISTORIES),
        sparse(relevant or RELEVANT),
        CONFIG,
        unknown=np.array(unknown or [0, 0, 0]),
        training_users=TRAINING_USERS,
    )


def value(found: Measured, name: str) -> float:
    metric = found.metrics[name]
    assert metric.value is not None, name
    return metric.value


def discount(place: int) -> float:
    return 1 / math.log2(place + 1)


def test_ranking_metrics_by_hand() -> None:
    # a is shown 1 2 3 4 5, and has hits at places 2 and 4; b is shown 4 3 2 1 0, a hit at 1; c is shown nothing.
    found = measured()
    ndcg = (discount(2) + discount(4)) / (discount(1) + discount(2))
    assert value(found, "ndcg_at_10") == pytest.approx((ndcg + 1 + 0) / 3)
    assert value(found, "ndcg_at_20") == pytest.approx((ndcg + 1 + 0) / 3)
    assert value(found, "recall_at_20") == pytest.approx(2 / 3)
    assert value(found, "hit_rate_at_10") == pytest.approx(2 / 3)
    assert value(found, "mrr") == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found.metrics["ndcg_at_10"].n == 3
    assert found.predictions.set_index("user_id").loc["c", "hit_rate_at_10"] == 0


def test_what_is_shown_by_hand() -> None:
    found = measured()
    surprise = -np.log2((BUYERS + 1) / 16)
    assert value(found, "novelty") == pytest.approx((surprise[1:].mean() + surprise[:5].mean()) / 2)
    assert found.metrics["novelty"].n == 2  # nothing is shown to c
    # 1…5 and 0…4: six pairs of ten are at right angles; in the first, 5 is opposite to 1 and 4.
    first, second = 1 - (2 - 2) / 10, 1 - (3 + 1) / 10
    assert value(found, "intra_list_diversity") == pytest.approx((first + second) / 2)
    assert value(found, "coverage") == 1.0
    assert value(found, "gini") == pytest.approx(ranking.gini(np.array([[1, 2, 3, 4, 5], [4, 3, 2, 1, 0]]), 6))
    assert value(found, "told.coverage") == 1.0


def test_items_that_the_version_does_not_know_count_as_not_found() -> None:
    found = measured(unknown=[0, 1, 0])
    assert value(found, "recall_at_20") == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found.predictions["relevant"].tolist() == [2, 2, 1]
    assert found.predictions["unknown"].tolist() == [0, 1, 0]
    only = measured(unknown=[0, 0, 3], relevant=[[2, 4], [4], []])
    assert value(only, "recall_at_20") == pytest.approx(2 / 3)
    assert value(only, "mrr") == pytest.approx((1 / 2 + 1) / 3)


def test_each_part_is_measured_alone_and_popularity_with_it() -> None:
    found = measured()
    for name in (*MEANS, "coverage"):
        assert found.metrics[f"told.{name}"] == found.metrics[name], name
        assert f"popularity.{name}" in found.metrics
    # By popularity, a is shown 1 2 3 4 5 or 2 1 3 5 4, as equals fall: place 2 and 4 have rivals; b: 0 first; c: 0 first.
    assert value(found, "popularity.mrr") == pytest.approx((1 / 1.5 + 1 / 5 + 1) / 3)
    assert value(found, "popularity.hit_rate_at_10") == 1.0
    assert value(found, "told.weight") == 1.0
    assert value(found, "popularity.weight") == 0.0


def test_the_blend_is_what_the_recommender_scores_and_each_part_scores_once() -> None:
    generator = np.random.default_rng(0)
    found = recommender(generator.random((6, 6)), (1.0, 0.7))
    count = USERS_A_BATCH + 3
    held = HeldOut(history_of(generator.integers(0, 6, (count, 2)).tolist()), sparse([[1]] * count), np.arange(count))
    lists = ranked_lists(found, held)
    told = found.parts["told"]
    assert isinstance(told, Told)
    assert told.calls == 2  # batches
    assert (lists[BLEND].ranked == top(found.scores(held.histories), held.histories, 20)).all()
    assert (lists["told"].ranked == top(found.scores_of("told", held.histories), held.histories, 20)).all()
    own = held.histories.matrix(6).toarray() > 0
    assert not any(own[row, code] for row, codes in enumerate(lists[BLEND].ranked) for code in codes if code >= 0)


def test_the_place_of_a_relevant_item_is_its_place_among_all_items() -> None:
    generator = np.random.default_rng(1)
    scores = generator.random((1, 400)).astype(np.float32)
    held = HeldOut(history_of([[7]]), csr_matrix(([1.0, 1.0], ([0, 0], [30, 7])), shape=(1, 400)), np.arange(1))
    items = Items(
        tuple(range(400)), csr_matrix((400, 0)), (), {}, ("",) * 400, np.full(400, np.nan), np.zeros(400, dtype=np.float32)
    )
    part = Told(np.repeat(scores, 400, axis=0))
    found = ranked_lists(Recommender(items, {"told": part}, {"told": 1.0}, np.zeros((400, 1)), 200), held)
    others = np.delete(scores[0], 7)
    assert found["told"].reciprocal == pytest.approx([1 / (1 + (others > scores[0, 30]).sum())])


def test_the_only_item_that_a_user_has_not_got_is_found() -> None:
    found = recommender(np.ones((6, 6)), (1.0, 0.7))
    held = HeldOut(history_of([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [0, 1, 2]]), sparse([[5], [5], [5]]), np.arange(3))
    lists = ranked_lists(found, held)["told"]
    assert lists.ranked[:, 0].tolist() == [5, NOTHING, NOTHING]  # who has all is shown none, and equal scores say nothing
    assert lists.reciprocal.tolist() == [1, 0, 0]


def test_an_item_that_the_user_has_is_never_found() -> None:
    found = measured(relevant=[[0], [4], [0]])
    assert found.predictions["mrr"].tolist()[0] == 0
    assert found.predictions["recall_at_20"].tolist()[0] == 0


def test_slices_by_activity() -> None:
    assert activity(np.array([0, 1, 5, 6, 10, 11, 20, 21, 50, 51, 900])).tolist() == [
        *("no history", "1–5", "1–5", "6–10", "6–10", "11–20", "11–20", "21–50", "21–50", "51 and more", "51 and more"),
    ]
    found = measured()
    active = {(s.value, s.metric): s.result for s in found.slices if s.slice == "activity"}
    assert active.keys() == {("1–5", name) for name in ("ndcg_at_10", "hit_rate_at_10", "recall_at_20")}
    assert active["1–5", "recall_at_20"].value == pytest.approx(2 / 3)


def test_slices_by_sales_of_what_was_bought() -> None:
    assert sales_tiers(BUYERS).tolist() == [0, 1, 1, 2, 2, 2]  # 8, 4, 4, 2, 1, 1 of 20
    assert sales_tiers(np.array([1, 0, 9], dtype=np.float32)).tolist() == [2, 2, 0]
    found = measured()
    by_tier = {(s.value, s.metric): s.result for s in found.slices if s.slice == "bought"}
    assert by_tier["head", "hit_rate_at_10"] == Metric(value=0, low=0, high=0, n=1)  # c
    assert by_tier["middle", "ndcg_at_10"].value == pytest.approx(discount(2))  # a, item 2
    assert by_tier["tail", "ndcg_at_10"].value == pytest.approx((discount(4) + 1) / 2)  # a and b, item 4
    assert by_tier["tail", "recall_at_20"].n == 2


def test_shares_of_what_is_shown_and_bought_by_sales() -> None:
    found = measured()
    assert [value(found, f"shown.{tier}") for tier in ("head", "middle", "tail")] == pytest.approx([0.1, 0.4, 0.5])
    assert [value(found, f"bought.{tier}") for tier in ("head", "middle", "tail")] == pytest.approx([1 / 3, 1 / 6, 1 / 2])


def test_diversity_is_measured_on_what_is_served() -> None:
    found = measured(weights=(1.0, 0.001))
    for step in (0, 20, 50):
        for name in ("ndcg_at_10", "intra_list_diversity"):
            assert value(found, f"diversity_{step}.{name}") == pytest.approx(value(found, name))
    # Turned round: a's hits stay at places 2 and 4; b's falls from the first of five to the last, and so does c's.
    ndcg = (discount(2) + discount(4)) / (discount(1) + discount(2))
    assert value(found, "diversity_80.ndcg_at_10") == pytest.approx((ndcg + 2 * discount(5)) / 3)


def test_latency_is_that_of_one_user_with_one_new_event() -> None:
    found = recommender(TABLE)
    served = Served(found, dict(zip(USERS, HISTORIES, strict=True)))
    done = (history_of(HISTORIES), sparse(RELEVANT), CONFIG)
    metrics = measure(found, served, USERS, *done, unknown=np.zeros(3), training_users=TRAINING_USERS).metrics
    timed = [queries for queries in served.asked if queries[0].events]
    assert len(timed) == CONFIG.latency_calls
    assert all(len(queries) == 1 and len(queries[0].events) == 1 for queries in timed)
    assert 0 < (metrics["latency_p50_ms"].value or 0) <= (metrics["latency_p95_ms"].value or 0)


def test_predictions_name_what_was_done_shown_and_bought() -> None:
    frame = measured().predictions.set_index("user_id")
    assert frame.loc["a", "history"] == ["i0"]
    assert frame.loc["a", "predicted"] == ["i1", "i2", "i3", "i4", "i5"]
    assert frame.loc["a", "true"] == ["i2", "i4"]
    assert frame.loc["c", "predicted"] == []
    assert frame["history_length"].tolist() == [1, 1, 1]


def test_predictions_survive_parquet(tmp_path: Path) -> None:
    frame = measured().predictions
    frame.to_parquet(tmp_path / "predictions.parquet")
    read = pd.read_parquet(tmp_path / "predictions.parquet")
    assert [list(shown) for shown in read["predicted"]] == frame["predicted"].tolist()


@pytest.mark.slow
def test_what_is_measured_makes_a_page(tmp_path: Path) -> None:
    pd.DataFrame({"user_id": USERS, "item_id": ["i0", "i5", "i3"]}).to_parquet(tmp_path / "purchases.parquet")
    runs = []
    for weights in ((1.0, 0.001), (0.001, 1.0)):
        found = measured(weights=weights)
        told = Evaluation(model="recommender", data="0", split="test", n=3, metrics=found.metrics, slices=found.slices)
        runs.append(EvaluationRun(told, found.predictions))
    decision = decide(runs[0].evaluation, GateConfig(), runs[1].evaluation)
    write_report(runs[0], runs[1], Catalogue.open(tmp_path), decision, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "Not measured." not in html
    assert "Bought: head" in html
    assert "1. item i1" in html


def test_every_metric_has_an_interval_around_it() -> None:
    for name, metric in measured().metrics.items():
        if not name.endswith(".weight"):
            assert metric.value is not None and metric.low is not None and metric.high is not None, name
            assert metric.low <= metric.value <= metric.high, name


def test_the_interval_of_totals_is_that_of_resampled_rows() -> None:
    table = sparse([[0, 1], [2], [0], [3, 4], [1]])
    found = totals_interval(lambda shown: np.count_nonzero(shown) / 6, table, samples=400)
    assert found.value == pytest.approx(5 / 6)
    same = totals_interval(lambda shown: float(shown[0] / 10), table, samples=400)
    assert (same.value, same.n) == (pytest.approx(0.2), 5)
    assert (same.low, same.high) == (pytest.approx(0.0, abs=0.02), pytest.approx(0.4, abs=0.02))
    assert totals_interval(np.mean, sparse([])[:0]) == Metric(value=None, n=0)


def test_what_cannot_be_measured_is_refused() -> None:
    found = recommender(TABLE)
    served = Served(found, {})
    good = {"unknown": np.zeros(3), "training_users": TRAINING_USERS}
    with pytest.raises(VitrinaError, match=r"differs in length: .*'users': 2"):
        measure(found, served, USERS[:2], history_of(HISTORIES), sparse(RELEVANT), CONFIG, **good)
    with pytest.raises(VitrinaError, match="no user to measure"):
        none = {"unknown": np.zeros(0), "training_users": TRAINING_USERS}
        measure(found, served, [], history_of([]), csr_matrix((0, 6)), CONFIG, **none)
    with pytest.raises(VitrinaError, match="user 'b' bought nothing next"):
        measure(found, served, USERS, history_of(HISTORIES), sparse([[1], [], [0]]), CONFIG, **good)
    with pytest.raises(VitrinaError, match="training_users is 7, but one item was bought by 8"):
        measure(found, served, USERS, history_of(HISTORIES), sparse(RELEVANT), CONFIG, **good | {"training_users": 7})
    broken = recommender(np.full((6, 6), np.nan))
    with pytest.raises(VitrinaError, match="scores of told are not numbers"):
        measure(broken, served, USERS, history_of(HISTORIES), sparse(RELEVANT), CONFIG, **good)
