import math

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.neighbors import KNeighborsClassifier

from models.evaluation import metrics


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    true = generator.choice(["shirt", "shoe", "bag", "belt"], size=500, p=[0.7, 0.2, 0.08, 0.02])
    predicted = np.where(generator.random(500) < 0.7, true, generator.choice(["shirt", "shoe", "hat"], size=500))
    return true, predicted


def test_classification_agrees_with_scikit_learn(labels):
    true, predicted = labels
    assert metrics.accuracy(true, predicted) == pytest.approx(sk.accuracy_score(true, predicted))
    assert metrics.macro_f1(true, predicted) == pytest.approx(sk.f1_score(true, predicted, average="macro", zero_division=0))


def test_macro_f1_counts_a_missing_prediction_as_wrong():
    # a: F1 = 2·1 / (2 + 1) = 2/3; b: 1; the missing class: 0
    assert metrics.macro_f1(["a", "a", "b"], ["a", None, "b"]) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_top_k_agrees_with_scikit_learn():
    generator = np.random.default_rng(2)
    scores, true = generator.random((200, 7)), generator.integers(0, 7, 200)
    for k in (1, 3, 6):
        assert metrics.top_k(true, scores, k) == pytest.approx(sk.top_k_accuracy_score(true, scores, k=k, labels=range(7)))


def test_rmsle_agrees_with_scikit_learn():
    generator = np.random.default_rng(3)
    true, predicted = generator.lognormal(6, 1, 300), generator.lognormal(6, 1, 300)
    assert metrics.rmsle(true, predicted) == pytest.approx(sk.root_mean_squared_log_error(true, predicted))


def test_interval_coverage_includes_the_limits():
    assert metrics.interval_coverage([1.0, 2.0, 3.0, 4.0], [1, 0, 3.5, 0], [2, 2, 9, 3.9]) == 0.5


def test_calibration_error_by_hand():
    # two of five bins are filled: (0.8, 1] with 3 rows, confidence 0.9, accuracy 2/3; (0.4, 0.6] with 1 row, 0.5 and 1
    confidence, correct = [0.85, 0.9, 0.95, 0.5], [1, 1, 0, 1]
    expected = 3 / 4 * abs(2 / 3 - 0.9) + 1 / 4 * abs(1 - 0.5)
    assert metrics.expected_calibration_error(confidence, correct, bins=5) == pytest.approx(expected)
    table = metrics.calibration_bins(confidence, correct, bins=5)
    assert table["rows"].tolist() == [1, 3]
    assert table["accuracy"].tolist() == pytest.approx([1.0, 2 / 3])
    assert table["low"].tolist() == pytest.approx([0.4, 0.8])


def test_calibration_error_of_sure_and_right_is_zero():
    assert metrics.expected_calibration_error([1.0, 1.0, 0.0], [1, 1, 0]) == 0.0


def test_retrieval_by_hand():
    ranks = np.array([0, 1, 9, 10])
    assert metrics.recall_at_k(ranks, 10).tolist() == [1, 1, 1, 0]
    assert metrics.ndcg_at_k(ranks, 10) == pytest.approx([1.0, 1 / math.log2(3), 1 / math.log2(11), 0.0])


def test_graded_ndcg_agrees_with_scikit_learn():
    generator = np.random.default_rng(4)
    gains, scores = generator.integers(0, 4, (30, 12)).astype(float), generator.random((30, 12))
    ranked = np.take_along_axis(gains, np.argsort(-scores, axis=1), axis=1)[:, :5]
    ideal = -np.sort(-gains, axis=1)[:, :5]
    assert metrics.graded_ndcg(ranked, ideal).mean() == pytest.approx(sk.ndcg_score(gains, scores, k=5))
    assert metrics.graded_ndcg(np.zeros((1, 3)), np.zeros((1, 3))).tolist() == [0.0]


def test_match_ranks_in_chunks_agrees_with_sorting(monkeypatch):
    generator = np.random.default_rng(5)
    queries, gallery = generator.normal(size=(23, 8)), generator.normal(size=(40, 8))
    target = generator.integers(0, 40, 23)
    expected = [int(np.flatnonzero(np.argsort(-(q @ gallery.T)) == t)[0]) for q, t in zip(queries, target, strict=True)]
    monkeypatch.setattr(metrics, "CHUNK_CELLS", 200)  # five queries at a time
    assert metrics.match_ranks(queries, gallery, target).tolist() == expected


def test_a_collapsed_embedding_finds_nothing():
    same = np.ones((50, 4))
    assert metrics.recall_at_k(metrics.match_ranks(same, same), 10).sum() == 0


def test_knn_agrees_with_scikit_learn(monkeypatch):
    generator = np.random.default_rng(6)
    labels = generator.integers(0, 3, 120)
    embeddings = generator.normal(size=(120, 6)) + 1.2 * np.eye(6)[labels]
    monkeypatch.setattr(metrics, "CHUNK_CELLS", 1000)
    expected = []
    for i in range(120):  # leave-one-out, odd k and two labels at a time would never tie; here ties go to the nearest
        rest = np.arange(120) != i
        model = KNeighborsClassifier(1, metric="cosine").fit(embeddings[rest], labels[rest])
        expected.append(model.predict(embeddings[i : i + 1])[0])
    assert metrics.knn_predict(embeddings, labels, 1).tolist() == expected
    assert metrics.knn_f1(embeddings, labels, 1) == pytest.approx(sk.f1_score(labels, expected, average="micro"))


def test_knn_tie_goes_to_the_nearest():
    angles = np.radians([0, 10, 20, 30, 40])  # neighbours of the first, nearest first: b, a, a, b
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert metrics.knn_predict(embeddings, ["x", "b", "a", "a", "b"], 4)[0] == "b"
    assert metrics.knn_predict(embeddings, ["x", "b", "a", "a", "b"], 3)[0] == "a"


def test_nearest_leaves_out_the_row_itself():
    embeddings = np.eye(4)
    assert all(i not in row for i, row in enumerate(metrics.nearest(embeddings, embeddings, 3, exclude_self=True)))
    assert metrics.nearest(embeddings[:1], embeddings, 9).shape == (1, 4)


@pytest.mark.parametrize(
    "value",
    [
        metrics.accuracy([], []),
        metrics.macro_f1([], []),
        metrics.rmsle([], []),
        metrics.expected_calibration_error([], []),
        metrics.top_k(np.array([], dtype=int), np.zeros((0, 3)), 1),
        metrics.knn_f1(np.zeros((0, 4)), [], 5),
    ],
)
def test_nothing_to_measure_is_nan(value):
    assert math.isnan(value)
