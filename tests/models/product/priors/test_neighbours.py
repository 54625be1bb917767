import numpy as np
import pytest
from scipy.sparse import random as random_matrix

from models.product.priors.linear import PRICE_BLOCKS
from models.product.priors.neighbours import MEAN, NAMES, SIZES, Neighbours, sketch


def unit(rows: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def table(rows: int = 200) -> Neighbours:
    rng = np.random.default_rng(1)
    vectors, prices = unit(rows).astype(np.float16), rng.normal(size=rows).astype(np.float32)
    return Neighbours(vectors, prices, np.arange(rows, dtype=np.uint64))


def test_features_by_hand() -> None:
    vectors = np.array([[1, 0], [0.96, 0.28], [0, 1]], dtype=np.float16)
    found = Neighbours(vectors, np.array([2.0, -1.0, 9.0], dtype=np.float32), np.arange(3, dtype=np.uint64)).features(
        np.array([[1.0, 0.0]], dtype=np.float32)
    )[0]
    named = dict(zip(NAMES, found.tolist(), strict=True))
    assert named["known"] == 1
    weight = np.exp(-0.04 / 0.1)
    mean = (2.0 - weight) / (1 + weight)  # the third is too far to count
    assert named["mean at 0.1"] == pytest.approx(mean, abs=1e-2)
    spread = np.sqrt(((2 - mean) ** 2 + weight * (-1 - mean) ** 2) / (1 + weight))
    assert named["spread at 0.1"] == pytest.approx(spread, abs=1e-2)
    assert named["mean at 0.01"] == pytest.approx(2.0, abs=0.1)
    assert [named[name] for name in ("first", "second", "third", "median of 8")] == [2.0, -1.0, 9.0, 2.0]
    assert named["similarity of the first"] == pytest.approx(1.0, abs=1e-3)
    assert named["of the fifth"] == pytest.approx(0.0, abs=1e-3)  # there are three: the last stands for it
    assert NAMES[MEAN] == "mean at 0.03"


def test_the_nearest_are_found() -> None:
    rows, queries = table(), unit(7, seed=5)
    exact = queries @ rows.vectors.astype(np.float32).T
    order = np.argsort(-exact, axis=1)
    found = rows.features(queries)
    for place, name in enumerate(("first", "second", "third")):
        assert np.allclose(found[:, NAMES.index(name)], rows.prices[order[:, place]])
    assert np.allclose(found[:, NAMES.index("of the sixteenth")], np.maximum(np.sort(exact)[:, -16], 0), atol=1e-3)


def test_a_row_and_its_copies_are_not_its_neighbours() -> None:
    rows = table()
    copies = Neighbours(
        np.concatenate([rows.vectors, rows.vectors[:5]]),
        np.concatenate([rows.prices, np.full(5, 1e3, dtype=np.float32)]),
        np.concatenate([rows.keys, rows.keys[:5]]),
    )
    queries = rows.vectors[:5].astype(np.float32)
    found, own = copies.features(queries, rows.keys[:5]), rows.features(queries)
    assert np.allclose(own[:, NAMES.index("similarity of the first")], 1, atol=1e-2)
    assert (found[:, NAMES.index("similarity of the first")] < 0.95).all()
    assert np.abs(found[:, : NAMES.index("median of 8") + 1]).max() < 10
    others = np.delete(np.arange(200), 0)
    alone = Neighbours(rows.vectors[others], rows.prices[others], rows.keys[others]).features(queries[:1])
    assert np.allclose(found[:1], alone, atol=1e-5)


def test_a_changed_price_does_not_reach_its_own_row() -> None:
    rows = table()
    changed = Neighbours(rows.vectors, np.where(np.arange(200) == 3, 99, rows.prices).astype(np.float32), rows.keys)
    queries = rows.vectors.astype(np.float32)
    before, after = rows.features(queries, rows.keys), changed.features(queries, rows.keys)
    assert np.array_equal(before[3], after[3])
    assert not np.array_equal(before, after)


def test_a_query_that_says_nothing_has_no_neighbours() -> None:
    queries = unit(3)
    queries[1] = 0
    found = table().features(queries)
    assert not found[1].any()
    assert found[[0, 2], 0].tolist() == [1, 1]


def test_a_sketch_keeps_the_similarity_of_blocks() -> None:
    rng = np.random.default_rng(0)
    features = []
    for _ in PRICE_BLOCKS:
        matrix = random_matrix(40, 1024, density=0.03, random_state=rng, format="csr", dtype=np.float32)
        features.append(matrix.multiply(1 / np.sqrt(matrix.multiply(matrix).sum(axis=1))).tocsr())
    sketched = sketch(PRICE_BLOCKS, features)
    assert sketched.shape == (40, sum(size for size, _ in SIZES.values()))
    assert np.allclose(np.linalg.norm(sketched, axis=1), 1, atol=1e-5)
    weights = {block.name: SIZES[block.name][1] for block in PRICE_BLOCKS if block.name in SIZES}
    exact = sum(
        weights[block.name] * (m @ m.T).toarray()
        for block, m in zip(PRICE_BLOCKS, features, strict=True)
        if block.name in weights
    ) / sum(weights.values())
    assert np.abs(sketched @ sketched.T - exact).mean() < 0.06
    assert np.array_equal(sketch(PRICE_BLOCKS, [m[:3] for m in features]), sketched[:3])


def test_a_row_without_words_is_sketched_as_nothing() -> None:
    empty = [random_matrix(1, 1024, density=0, format="csr", dtype=np.float32) for _ in PRICE_BLOCKS]
    assert not sketch(PRICE_BLOCKS, empty).any()
