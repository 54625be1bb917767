import numpy as np
import pytest
from scipy import stats

from monitoring import two_sample


def test_homogeneity_is_the_contingency_test_where_nothing_is_rare() -> None:
    first, second = np.repeat(["a", "b", "c"], [40, 30, 30]), np.repeat(["a", "b", "c"], [20, 45, 35])
    expected = stats.chi2_contingency([[40, 30, 30], [20, 45, 35]], correction=False).pvalue
    assert two_sample.homogeneity(first, second) == pytest.approx(expected)


def test_rare_values_are_pooled() -> None:
    first = np.array(["a"] * 90 + [f"rare {i}" for i in range(10)])
    second = np.array(["a"] * 80 + [f"other {i}" for i in range(20)])
    expected = stats.chi2_contingency([[90, 10], [80, 20]], correction=False).pvalue
    assert two_sample.homogeneity(first, second) == pytest.approx(expected)


def test_one_value_alone_cannot_differ() -> None:
    assert two_sample.homogeneity(np.array(["a"] * 50), np.array(["a"] * 70)) == 1.0
    assert two_sample.cramers_v(np.array(["a"] * 50), np.array(["a"] * 70)) == 0.0


def test_cramers_v_is_one_for_disjoint_values_and_near_zero_for_equal_ones() -> None:
    assert two_sample.cramers_v(np.array(["a", "b"] * 200), np.array(["c", "d"] * 200)) == pytest.approx(1.0, abs=0.01)
    rng = np.random.default_rng(0)
    many = [two_sample.cramers_v(rng.integers(0, 80, 2000), rng.integers(0, 80, 2000)) for _ in range(20)]
    assert np.mean(many) < 0.05


@pytest.mark.parametrize("sizes", [(200, 200), (200, 2000), (2000, 200)])
def test_homogeneity_keeps_its_level(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    shares = 1.0 / np.arange(1, 61)
    draw = [[rng.choice(60, n, p=shares / shares.sum()) for n in sizes] for _ in range(600)]
    rejected = np.mean([two_sample.homogeneity(a, b) < 0.05 for a, b in draw])
    assert rejected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)


def test_holm_by_hand() -> None:
    adjusted = two_sample.holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.03, 0.06, 0.06, 0.02])


def test_fisher_by_scipy() -> None:
    assert two_sample.share_increases((10, 100), (30, 100)) == pytest.approx(
        stats.fisher_exact([[30, 70], [10, 90]], alternative="greater").pvalue
    )
    assert two_sample.share_increases((30, 100), (10, 100)) > 0.99


def test_permutation_p_is_uniform_without_a_difference_and_small_with_one() -> None:
    rng = np.random.default_rng(5)
    p_values = []
    for seed in range(60):
        kernel = two_sample.embedding_kernel(rng.normal(size=(60, 8)), rng.normal(size=(40, 8)))
        p_values.append(two_sample.permutation_p(kernel, 60, seed))
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    shifted = two_sample.embedding_kernel(rng.normal(size=(60, 8)), rng.normal(1.0, 1.0, size=(40, 8)))
    assert two_sample.permutation_p(shifted, 60) == pytest.approx(1e-4, rel=0.5)
    assert two_sample.discrepancy(shifted, 60) > 0.3


def test_text_distance_is_zero_for_the_same_words_and_one_for_others() -> None:
    first, second = np.array(["red shoe", "blue shoe", "red shirt"] * 20), np.array(["green hat", "black hat"] * 30)
    assert two_sample.cosine_distance_of_means(two_sample.text_kernel(first, second), 60) == pytest.approx(1.0)
    assert two_sample.cosine_distance_of_means(two_sample.text_kernel(first, first[:30]), 60) < 0.02
    assert two_sample.permutation_p(two_sample.text_kernel(np.array(["?"] * 40), np.array(["!"] * 40)), 40) == 1.0
