"""Two-sample tests and effect sizes. Each test treats both samples as samples: neither is taken for the truth.

Evidently's own chi-square takes the reference's proportions as known, which doubles the variance under no drift when the
window is as large as the reference; `homogeneity` does not.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer

Array = NDArray[Any]

MIN_EXPECTED = 5.0
"""Values with a smaller expected count in either sample are pooled (Cochran 1954)."""

_FIRST_ROUND, _ALL_ROUNDS = 999, 9_999
_UNDECIDED = 0.05
_WORD = r"(?u)\b\w+\b"


def homogeneity(reference: Array, current: Array) -> float:
    """p-value of Pearson's chi-square test that two samples of a categorical value share one distribution.

    Rare values are pooled, see `MIN_EXPECTED`; which ones depends on both samples together, so the test stays valid.
    """
    counts = _pooled(reference, current)
    if counts.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(counts, correction=False).pvalue)


def cramers_v(reference: Array, current: Array) -> float:
    """Association of value and sample: 0 for the same distribution, 1 for no value in common.

    Without the bias that small samples and many values bring (Bergsma 2013). Rare values are pooled as in `homogeneity`.
    """
    counts = _pooled(reference, current)
    values, total = counts.shape[1], counts.sum()
    if values < 2:
        return 0.0
    squared = float(stats.chi2_contingency(counts, correction=False).statistic) / total
    corrected = max(0.0, squared - (values - 1) / (total - 1))
    samples_left, values_left = 2 - 1 / (total - 1), values - (values - 1) ** 2 / (total - 1)
    return float(min(1.0, np.sqrt(corrected / min(samples_left - 1, values_left - 1))))


def kolmogorov_smirnov(reference: Array, current: Array) -> float:
    """Largest distance of the two distribution functions, 0…1."""
    return float(stats.ks_2samp(reference, current, method="asymp").statistic)


def share_increases(reference: tuple[int, int], current: tuple[int, int]) -> float:
    """One-sided p-value of Fisher's exact test that the share (count, of how many) did not rise."""
    (a, n), (b, m) = reference, current
    return float(stats.fisher_exact([[b, m - b], [a, n - a]], alternative="greater").pvalue)


def shares_differ(reference: tuple[int, int], current: tuple[int, int]) -> float:
    """Two-sided p-value of Fisher's exact test that two shares are equal."""
    (a, n), (b, m) = reference, current
    return float(stats.fisher_exact([[b, m - b], [a, n - a]]).pvalue)


def embedding_kernel(reference: Array, current: Array) -> Array:
    """Gaussian kernel over both samples stacked, with the median distance as bandwidth; [n + m, n + m]."""
    points = np.vstack([reference, current]).astype(np.float64)
    points -= points.mean(axis=0)
    squares = np.einsum("ij,ij->i", points, points)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2.0 * points @ points.T, 0.0)
    median = float(np.median(distances))
    kernel: Array = np.exp(-distances / median) if median > 0 else np.ones_like(distances)
    return kernel


def text_kernel(reference: Array, current: Array) -> Array:
    """Cosine of TF-IDF vectors over both samples stacked; [n + m, n + m].

    A word counts once a text: texts, not words, are what is drawn independently.
    """
    texts = [str(text) for text in (*reference, *current)]
    vectors = TfidfVectorizer(binary=True, token_pattern=_WORD)
    try:
        weights = vectors.fit_transform(texts)
    except ValueError:  # no text holds a word
        return np.ones((len(texts), len(texts)))
    kernel: Array = (weights @ weights.T).toarray()
    return kernel


def permutation_p(kernel: Array, n: int, seed: int = 0) -> float:
    """p-value of the maximum mean discrepancy (Gretton et al. 2012) by permutation; exact at any sample size.

    The first `n` rows of `kernel` are the reference. Labels are permuted 999 times, and 9,999 times where that does not
    settle the matter.
    """
    rng = np.random.default_rng(seed)
    total = len(kernel)
    kernel32 = kernel.astype(np.float32)
    weights = np.where(np.arange(total) < n, 1.0 / n, -1.0 / (total - n)).astype(np.float32)
    observed = float(weights @ kernel32 @ weights)
    as_large = rounds = 0
    while rounds < _ALL_ROUNDS:
        permuted = rng.permuted(np.tile(weights, (_FIRST_ROUND if rounds == 0 else 1000, 1)), axis=1)
        values = np.einsum("ij,ij->i", permuted @ kernel32, permuted)
        as_large += int((values >= observed - 1e-7).sum())
        rounds += len(permuted)
        p = (1 + as_large) / (1 + rounds)
        if p > _UNDECIDED:
            break
    return p


def discrepancy(kernel: Array, n: int) -> float:
    """Unbiased maximum mean discrepancy of a kernel with ones on its diagonal, 0 where the estimate is below zero."""
    m = len(kernel) - n
    within, across = _mean_off_diagonal(kernel[:n, :n]) + _mean_off_diagonal(kernel[n:, n:]), kernel[:n, n:].mean()
    assert n > 1 and m > 1
    return float(np.sqrt(max(0.0, within - 2.0 * across)))


def cosine_distance_of_means(kernel: Array, n: int) -> float:
    """1 - cosine of the two samples' mean vectors, without the bias of small samples; 0…1 for a non-negative kernel."""
    first, second = _mean_off_diagonal(kernel[:n, :n]), _mean_off_diagonal(kernel[n:, n:])
    if min(first, second) <= 0.0:
        return 0.0
    return float(np.clip(1.0 - kernel[:n, n:].mean() / np.sqrt(first * second), 0.0, 1.0))


def holm(p_values: Array) -> Array:
    """p-values adjusted so that rejecting those up to alpha keeps the family-wise error rate at alpha (Holm 1979)."""
    order = np.argsort(p_values)
    count = len(p_values)
    stepped = np.maximum.accumulate(p_values[order] * (count - np.arange(count)))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _pooled(reference: Array, current: Array) -> Array:
    """Counts [2, values] of both samples, rare values together in the last column."""
    codes, values = pd.factorize(np.concatenate([np.asarray(reference, dtype=object), np.asarray(current, dtype=object)]))
    parts = codes[: len(reference)], codes[len(reference) :]
    counts: Array = np.array([np.bincount(part, minlength=len(values)) for part in parts], dtype=np.float64)
    smaller = counts.sum(axis=1).min() / counts.sum()
    rare = counts.sum(axis=0) * smaller < MIN_EXPECTED
    if not rare.any():
        return counts
    counts = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)])
    if counts.shape[1] > 1 and counts[:, -1].sum() * smaller < MIN_EXPECTED:
        least = int(np.argmin(counts[:, :-1].sum(axis=0)))
        counts[:, least] += counts[:, -1]
        counts = counts[:, :-1]
    return counts


def _mean_off_diagonal(kernel: Array) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
