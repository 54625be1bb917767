"""Point estimates. Arrays of one length in, one float (or one value a row) out; an empty input gives NaN.

Shapes: n rows, q queries, m gallery rows, d embedding dimensions, c classes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[Any]
Integers = NDArray[Any]

CHUNK_CELLS = 16_000_000  # similarities held at once (64 MB of float32)


def accuracy(true: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows whose labels are equal."""
    return _mean(np.asarray(true) == np.asarray(predicted))


def macro_f1(true: ArrayLike, predicted: ArrayLike) -> float:
    """Mean over classes of F1; the classes are those that occur in either array, as in scikit-learn."""
    true_codes, predicted_codes, classes = label_codes(true, predicted)
    return macro_f1_of_codes(true_codes, predicted_codes, classes)


def label_codes(*labels: ArrayLike) -> tuple[Integers, Integers, int]:
    """Two label arrays as codes 0…c-1 of one shared vocabulary, and c. A missing label is a class of its own."""
    first, second = (np.asarray(a) for a in labels)
    codes, classes = pd.factorize(np.concatenate([first.astype(object), second.astype(object)]), use_na_sentinel=False)
    return codes[: len(first)], codes[len(first) :], len(classes)


def macro_f1_of_codes(true: Integers, predicted: Integers, classes: int) -> float:
    """`macro_f1` on codes below `classes`."""
    hits = np.bincount(true[true == predicted], minlength=classes)
    mass = np.bincount(true, minlength=classes) + np.bincount(predicted, minlength=classes)  # = 2 TP + FP + FN
    present = mass > 0
    return _mean(2.0 * hits[present] / mass[present])


def top_k(true: Integers, scores: Floats, k: int) -> float:
    """Share of rows whose true class index [n] is among the k highest scores [n, c]."""
    if not len(true):
        return float("nan")
    best = np.argpartition(-scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
    return _mean((best == true[:, None]).any(axis=1))


def roc_auc(scores: ArrayLike, truth: ArrayLike) -> float:
    """Probability that a true row [n] scores higher than a false one, ties counting half; NaN without both."""
    from scipy.stats import rankdata  # a second, which a step that measures nothing need not wait

    positive = np.asarray(truth, dtype=bool)
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return float("nan")
    ranks = rankdata(np.asarray(scores, dtype=np.float64))  # Mann & Whitney (1947)
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def rmsle(true: ArrayLike, predicted: ArrayLike) -> float:
    """Root of the mean squared difference of log(1 + price); prices must be ≥ 0."""
    error = np.log1p(np.asarray(predicted, dtype=float)) - np.log1p(np.asarray(true, dtype=float))
    return float(np.sqrt(_mean(error**2)))


def interval_coverage(true: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Share of rows with low ≤ true ≤ high."""
    value = np.asarray(true, dtype=float)
    return _mean((np.asarray(low) <= value) & (value <= np.asarray(high)))


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> float:
    """Gap between confidence and accuracy, averaged over equal-width bins by their rows (Guo et al. 2017)."""
    sums = bin_sums(confidence, correct, bins)
    rows = sums[0].sum()
    return float(np.abs(sums[1] - sums[2]).sum() / rows) if rows else float("nan")


def calibration_bins(confidence: ArrayLike, correct: ArrayLike, bins: int = 15) -> pd.DataFrame:
    """Non-empty bins of `expected_calibration_error`: low, high, rows, confidence, accuracy."""
    rows, confidences, corrects = bin_sums(confidence, correct, bins)
    edges = np.linspace(0.0, 1.0, bins + 1)
    used = rows > 0
    return pd.DataFrame(
        {
            "low": edges[:-1][used],
            "high": edges[1:][used],
            "rows": rows[used].astype(int),
            "confidence": confidences[used] / rows[used],
            "accuracy": corrects[used] / rows[used],
        }
    )


def match_ranks(queries: Floats, gallery: Floats, target: ArrayLike | None = None) -> Integers:
    """Rank [q], 0 the best, of gallery row `target[i]` for query i by inner product; target defaults to i.

    Ties count against the model, so that a collapsed embedding ranks last instead of first.
    """
    wanted = np.arange(len(queries)) if target is None else np.asarray(target)
    ranks = np.empty(len(queries), dtype=np.int64)
    for rows, similarity in _similarities(queries, gallery):
        own = similarity[np.arange(similarity.shape[0]), wanted[rows]]
        ranks[rows] = (similarity >= own[:, None]).sum(axis=1) - 1
    return ranks


def recall_at_k(ranks: Integers, k: int) -> Floats:
    """1.0 a query [q] whose one relevant item ranks among the first k, else 0.0; the metric is the mean."""
    return (np.asarray(ranks) < k).astype(float)


def ndcg_at_k(ranks: Integers, k: int) -> Floats:
    """nDCG@k a query [q] with one relevant item at `ranks`: 1 / log2(rank + 2) within the first k, else 0."""
    ranks = np.asarray(ranks)
    return np.where(ranks < k, 1.0 / np.log2(ranks + 2.0), 0.0)


def graded_ndcg(gains: Floats, ideal: Floats) -> Floats:
    """Normalised DCG a query [q] from gains [q, k] in ranked order and the k best gains there are, in descending order.

    Linear gain, log2 discount (Järvelin & Kekäläinen 2002). Queries without any gain score 0.
    """
    discount = 1.0 / np.log2(np.arange(gains.shape[1]) + 2.0)
    best = ideal[:, : gains.shape[1]] @ discount
    scores: Floats = np.divide(gains @ discount, best, out=np.zeros(len(gains)), where=best > 0)
    return scores


def nearest(queries: Floats, gallery: Floats, k: int, *, exclude_self: bool = False) -> Integers:
    """Gallery indices [q, k], best first, by inner product; `exclude_self` leaves out gallery row i for query i."""
    k = min(k, len(gallery) - exclude_self)
    found = np.empty((len(queries), max(k, 0)), dtype=np.int64)
    if k < 1:
        return found
    for rows, similarity in _similarities(queries, gallery):
        local = np.arange(similarity.shape[0])
        if exclude_self:
            similarity[local, rows] = -np.inf
        best = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        order = np.argsort(-similarity[local[:, None], best], axis=1, kind="stable")
        found[rows] = best[local[:, None], order]
    return found


def knn_predict(embeddings: Floats, labels: ArrayLike, k: int) -> NDArray[np.object_]:
    """Label [n] that most of each row's k nearest other rows have, by cosine; a tie goes to the nearest of the tied."""
    names = np.asarray(labels, dtype=object)
    codes, classes = pd.factorize(names, use_na_sentinel=False)
    unit = normalised(embeddings)
    votes = codes[nearest(unit, unit, k, exclude_self=True)]  # [n, k]
    if not votes.size:
        return np.full(len(names), None, dtype=object)
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    winner = votes[np.arange(len(votes)), counts.argmax(axis=1)]
    predicted: NDArray[np.object_] = np.asarray(classes, dtype=object)[winner]
    return predicted


def knn_f1(embeddings: Floats, labels: ArrayLike, k: int) -> float:
    """Micro F1 (= accuracy) of the leave-one-out k-nearest-neighbour classifier by cosine."""
    return accuracy(np.asarray(labels, dtype=object), knn_predict(embeddings, labels, k))


def normalised(embeddings: Floats) -> NDArray[np.float32]:
    """Rows [n, d] scaled to unit length; a zero row stays zero."""
    rows = np.asarray(embeddings, dtype=np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return unit


def _similarities(queries: Floats, gallery: Floats) -> Iterator[tuple[Integers, Floats]]:
    """Query indices and their inner products [rows, m], in chunks of at most `CHUNK_CELLS`."""
    step = max(1, CHUNK_CELLS // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        yield np.arange(start, start + len(block)), block @ gallery.T


def bin_sums(confidence: ArrayLike, correct: ArrayLike, bins: int) -> tuple[Floats, Floats, Floats]:
    """Rows, summed confidence and summed correctness of each equal-width bin (low, high]."""
    scores, hits = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    index = np.clip(np.ceil(scores * bins).astype(int) - 1, 0, bins - 1)
    return (
        np.bincount(index, minlength=bins).astype(float),
        np.bincount(index, weights=scores, minlength=bins),
        np.bincount(index, weights=hits, minlength=bins),
    )


def _mean(values: ArrayLike) -> float:
    array = np.asarray(values, dtype=float)
    return float(array.mean()) if array.size else float("nan")
