"""Candidates of a large catalogue: the best items are among them, and an answer from them is the answer from all."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from recommender_cases import bare_items, histories_of, random_cells, sparse_part
from scipy.sparse import csr_matrix

from models.recommender import candidates
from models.recommender.answers import Event, Query
from models.recommender.candidates import Candidates, CandidatesConfig, inverted
from models.recommender.config import RecommenderModelConfig
from models.recommender.interactions import Histories
from models.recommender.model import Recommender
from models.recommender.part import Part
from models.recommender.parts.content import ContentByEmbeddings
from models.recommender.parts.graph_attention import PathReading
from models.recommender.parts.popularity import Popularity
from models.recommender.parts.spectral import Spectral
from models.recommender.predictor import RecommenderPredictor
from models.recommender.readings import DenseReading, Floats, SparseReading, Vectors, scaled

ITEMS, GROUPS = 6000, 60


def clustered(seed: int, width: int = 24) -> Floats:
    """Vectors [I, d] around the middle of one of the groups, as those of a trained model are."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((GROUPS, width)) * 2
    found: Floats = (middles[np.arange(ITEMS) % GROUPS] + rng.standard_normal((ITEMS, width))).astype(np.float32)
    return found


def recommender(**more: Part[Any]) -> Recommender:
    buyers = np.random.default_rng(1).permutation(ITEMS).astype(np.float32)
    first, second = clustered(2), clustered(3)
    parts: dict[str, Part[Any]] = {
        "spectral": Spectral(first, first, 0.1),
        "content": ContentByEmbeddings(second, 0.0),
        "co_purchase": sparse_part(random_cells(ITEMS, ITEMS, 0.002, 4), 0.2),
        "popularity": Popularity(buyers),
        **more,
    }
    features = first / np.linalg.norm(first, axis=1, keepdims=True)
    weights = {"spectral": 1.0, "content": 0.4, "co_purchase": 0.7, "popularity": 0.05}
    return Recommender(bare_items(ITEMS, buyers=buyers), parts, weights, features, 1000)


SMALL = CandidatesConfig(exact=1000, nearest=300)
"""What is large from 1,000 items on."""


def visits(count: int) -> Histories:
    """Histories of five items, most of them of one group."""
    rng = np.random.default_rng(5)
    rows = [
        [*(rng.integers(0, GROUPS) + GROUPS * rng.permutation(ITEMS // GROUPS)[:4]), rng.integers(0, ITEMS)] for _ in range(count)
    ]
    return histories_of(*[list(map(int, row)) for row in rows])


def test_every_item_of_a_small_catalogue_is_scored() -> None:
    assert Candidates.of(recommender(), CandidatesConfig()) is None


def test_the_best_of_all_items_are_candidates() -> None:
    model = recommender()
    index = Candidates.of(model, SMALL)
    assert index is not None
    found, wanted, tried = 0, 0, []
    for user in range(40):
        one = visits(40).select([user])
        codes = index.find(model.read(one), model.weights)
        assert (np.diff(codes) > 0).all()
        tried.append(len(codes))
        best = np.argsort(-model.scores(one)[0], kind="stable")[:20]
        found, wanted = found + len(np.intersect1d(best, codes)), wanted + 20
    assert found >= 0.97 * wanted
    assert max(tried) < ITEMS / 5


def test_what_is_searched_for_is_what_the_dense_parts_add() -> None:
    cosine, paths = Vectors.of(clustered(6)), random_cells(3, ITEMS, 0.01, 7)
    attention = PathReading(SparseReading(paths), DenseReading(cosine.items[[5, 7, 9]], cosine), 0.7)
    model, weights = recommender(), {"spectral": 0.5, "co_purchase": 1.0, "popularity": 0.1, "content": 2.0, "attention": 3.0}
    readings = {**model.read(visits(3)), "attention": attention}
    apart = [readings["spectral"].all(), readings["content"].all(), cosine.items[[5, 7, 9]] @ cosine.items.T]
    scales = [weights["spectral"], weights["content"], weights["attention"] * 0.7 / np.hypot(1.0, 0.7)]
    spreads = [readings["spectral"].spread(), readings["content"].spread(), attention.cosine.spread()]
    expected = sum(scale * scaled(part, spread) for scale, part, spread in zip(scales, apart, spreads, strict=True))
    vectors = np.concatenate([candidates.item_vectors(model), cosine.items], axis=1)
    assert np.allclose(candidates.queries(readings, weights) @ vectors.T, expected, atol=1e-3)
    whole = weights["attention"] * scaled(attention.all(), attention.spread())
    sparse = weights["attention"] / np.hypot(1.0, 0.7) * scaled(attention.paths.all(), attention.paths.spread())
    assert np.allclose(whole - sparse, scales[2] * scaled(apart[2], spreads[2]), atol=1e-4)


def test_an_answer_from_candidates_is_the_answer_from_all() -> None:
    model, nobody = recommender(), histories_of([])
    large = RecommenderPredictor(model, [0], nobody, RecommenderModelConfig(candidates=SMALL))
    whole = RecommenderPredictor(model, [0], nobody, RecommenderModelConfig())
    same = 0
    for user in range(20):
        events = tuple(Event(int(code)) for code in visits(20).user(user)[0])
        (from_some,) = large.recommend([Query(events=events)])
        (from_all,) = whole.recommend([Query(events=events)])
        assert from_some.items[0].score == pytest.approx(from_all.items[0].score, rel=1e-5)
        same += len({item.item_id for item in from_some.items} & {item.item_id for item in from_all.items})
    assert same >= 0.97 * 20 * 10


def test_visitors_and_bounds_are_answered_from_candidates_too() -> None:
    model = recommender()
    prices = np.where(np.arange(ITEMS) % 3 == 0, 10.0, 90.0).astype(np.float32)
    model = replace(model, items=replace(model.items, prices=prices))
    predictor = RecommenderPredictor(model, [0], histories_of([]), RecommenderModelConfig(candidates=SMALL))
    (visitor,) = predictor.recommend([Query(num_recs=5)])
    assert [item.item_id for item in visitor.items] == np.argsort(-model.items.buyers)[:5].tolist()
    (cheap,) = predictor.recommend([Query(events=(Event(7), Event(67)), price_max=20.0)])
    assert len(cheap.items) == 10
    assert all(int(item.item_id) % 3 == 0 for item in cheap.items)


def test_without_dense_parts_what_is_near_and_what_sells_are_candidates() -> None:
    model = recommender()
    parts = {name: model.parts[name] for name in ("co_purchase", "popularity")}
    bare = replace(model, parts=parts)
    index = Candidates.of(bare, SMALL)
    assert index is not None
    one = histories_of([3, 9])
    near = np.union1d(*(csr_matrix(parts["co_purchase"].matrix)[code].indices for code in (3, 9)))  # type: ignore[attr-defined]
    popular = np.argsort(-model.items.buyers)[:300]
    assert index.find(bare.read(one), bare.weights).tolist() == np.union1d(near, popular).tolist()


def test_lists_grow_with_the_root_of_the_items() -> None:
    index = inverted(clustered(0), probed=32)
    assert (index.ntotal, index.nlist) == (ITEMS, 64)
