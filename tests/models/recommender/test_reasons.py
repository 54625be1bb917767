"""Reasons: a history read together with what is left of it says the same as both read apart."""

from typing import Any

import numpy as np
import pytest
import torch
from recommender_cases import bare_items, histories_of, random_cells, sparse_part
from scipy.sparse import csr_matrix

from models.recommender.answers import Event, Query, Recommendations
from models.recommender.config import RecommenderModelConfig
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.part import Part
from models.recommender.parts.factorisation import Factorisation
from models.recommender.parts.graph_attention import AttentionPaths
from models.recommender.parts.popularity import Popularity
from models.recommender.parts.sequence import NextItem
from models.recommender.parts.spectral import Spectral
from models.recommender.predictor import RecommenderPredictor
from models.recommender.readings import Floats, SparseReading, cells
from models.recommender.reasons import ReasonsConfig
from models.recommender.sequence import SequenceConfig, SequenceNetwork

ITEMS, WIDTH = 80, 8
LEFT_OUT, TOGETHER = ReasonsConfig().left_out, ReasonsConfig().together
BUYERS = np.arange(1, ITEMS + 1, dtype=np.float32)


def normal(*shape: int, seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def attention() -> AttentionPaths:
    layers = normal(2, ITEMS, WIDTH, seed=1), normal(2, WIDTH, WIDTH, seed=2), normal(2, 2, WIDTH // 2, seed=3)
    paths = random_cells(ITEMS, ITEMS, 0.2, 6)
    return AttentionPaths(normal(ITEMS, WIDTH + 1, seed=4), *layers, normal(WIDTH, seed=5), paths, 0.3, 0.5)


def following() -> NextItem:
    torch.manual_seed(0)
    config = SequenceConfig(width=WIDTH, layers=2, heads=2, length=10)  # some histories are longer
    model = SequenceNetwork(config, random_cells(ITEMS, 6, 0.3, seed=7))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return NextItem.of(model)


@pytest.fixture(scope="module")
def predictor() -> RecommenderPredictor:
    """Every kind of part."""
    features = normal(ITEMS, WIDTH, seed=8)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    parts: dict[str, Part[Any]] = {
        "regression": sparse_part(random_cells(ITEMS, ITEMS, 0.1, 9), 0.3),
        "spectral": Spectral(features, normal(ITEMS, WIDTH, seed=10), 0.1),
        "factorisation": Factorisation(normal(ITEMS, WIDTH, seed=11), 0.1, 0.01),
        "graph_attention": attention(),
        "sequence": following(),
        "popularity": Popularity(BUYERS),
    }
    weights = {name: 1.0 / (2 + place) for place, name in enumerate(parts)}
    recommender = Recommender(bare_items(ITEMS, buyers=BUYERS), parts, weights, features, 1000)
    return RecommenderPredictor(recommender, [0], histories_of([]), RecommenderModelConfig())


def ask(predictor: RecommenderPredictor, length: int, seed: int = 0) -> tuple[list[int], Recommendations]:
    history = np.random.default_rng([seed, length]).permutation(ITEMS)[:length].tolist()
    (answer,) = predictor.recommend([Query(events=tuple(Event(code) for code in history), num_recs=20)])
    return history, answer


def reading_together(predictor: RecommenderPredictor, longest: int) -> RecommenderPredictor:
    config = RecommenderModelConfig(reasons=ReasonsConfig(together=longest))
    return RecommenderPredictor(predictor.recommender, [0], predictor.histories, config)


@pytest.mark.parametrize("length", [0, 1, 2, LEFT_OUT, LEFT_OUT + 1, TOGETHER, TOGETHER + 1, 40])
def test_read_together_or_apart_the_answer_is_the_same(predictor: RecommenderPredictor, length: int) -> None:
    for seed in range(5):
        _, together = ask(reading_together(predictor, 100), length, seed)
        _, apart = ask(reading_together(predictor, 1), length, seed)
        assert len(together.items) == 20
        for first, second in zip(together.items, apart.items, strict=True):
            assert first.item_id == second.item_id
            assert first.parts == pytest.approx(second.parts, abs=1e-5)
            assert (first.reason.item_id, first.reason.kind) == (second.reason.item_id, second.reason.kind)
            assert first.reason.drop == pytest.approx(second.reason.drop, abs=1e-5)


@pytest.mark.parametrize("length", [1, LEFT_OUT, TOGETHER, TOGETHER + 1])
def test_a_drop_is_what_scoring_without_the_item_says(predictor: RecommenderPredictor, length: int) -> None:
    history, answer = ask(predictor, length)
    whole = predictor.recommender.scores(histories_of(history))[0]
    named = 0
    for item in answer.items:
        assert item.score == pytest.approx(whole[int(item.item_id)], abs=1e-4)
        if item.reason.item_id is None:
            continue
        rest = [code for code in history if code != item.reason.item_id]
        after = predictor.recommender.scores(histories_of(rest))[0]
        assert item.reason.drop == pytest.approx(whole[int(item.item_id)] - after[int(item.item_id)], abs=1e-4)
        named += 1
    assert named > 5


def test_the_first_of_some_readings_is_the_reading_of_the_first(predictor: RecommenderPredictor) -> None:
    users = histories_of([3, 9, 4], [5], [])
    for name, part in predictor.recommender.parts.items():
        first, alone = part.read(users).first(), part.read(users.select([0]))
        np.testing.assert_allclose(first.all(), alone.all(), atol=1e-5, err_msg=name)
        np.testing.assert_allclose(first.at(np.array([7, 2])), alone.at(np.array([7, 2])), atol=1e-5, err_msg=name)
        np.testing.assert_allclose(first.spread(), alone.spread(), rtol=1e-5, err_msg=name)


def test_cells_and_spreads_are_those_of_the_dense_rows() -> None:
    dense = random_cells(12, 30, 0.3, seed=2).toarray()
    dense[[0, 5, 6, 11]] = 0  # also the first, the last and two in a row
    rows, items = np.array([11, 3, 3, 0, 7]), np.array([29, 0, 4])
    np.testing.assert_array_equal(cells(csr_matrix(dense), rows, items), dense[np.ix_(rows, items)])
    assert cells(csr_matrix(dense), rows[:0], items).shape == (0, 3)
    np.testing.assert_allclose(SparseReading(csr_matrix(dense)).spread(), dense.std(axis=1), rtol=1e-5)
    assert not SparseReading(csr_matrix(0 * dense)).spread().any()


def test_only_what_follows_the_last_item_is_computed_in_the_last_block() -> None:
    model = following().network
    codes, ends = torch.from_numpy(np.random.default_rng(1).integers(0, ITEMS, (6, 10))), torch.tensor([0, 9, 4, 1, 7, 9])
    with torch.inference_mode():
        every = model(codes, model.vectors())
        torch.testing.assert_close(model.last(codes, model.vectors(), ends), every[torch.arange(6), ends])


def test_views_count_less_in_what_is_left_too(predictor: RecommenderPredictor) -> None:
    kinds = ("purchase", "view", "cart")
    (answer,) = predictor.recommend([Query(events=tuple(Event(code, kind) for code, kind in enumerate(kinds)), num_recs=5)])
    worth = np.array([1.0, predictor.config.history.view_weight, predictor.config.history.cart_weight])

    def score(codes: list[int], item: int) -> float:
        history = Histories.of(np.zeros(len(codes), dtype=np.int64), np.array(codes), worth[codes], 1)
        return float(predictor.recommender.scores(history)[0, item])

    for found in answer.items:
        item = int(found.item_id)
        drops = {code: score([0, 1, 2], item) - score([c for c in range(3) if c != code], item) for code in range(3)}
        if found.reason.item_id is not None:
            assert max(drops, key=lambda code: drops[code]) == found.reason.item_id
            assert found.reason.drop == pytest.approx(max(drops.values()), abs=1e-4)
