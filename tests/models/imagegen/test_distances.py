"""Distances between sets of images, against what can be computed by hand."""

import numpy as np
import pytest

from models.imagegen.judge.distances import BLOCK, difference_interval, distance_interval, frechet, kernel


def gaussian(rows: int, mean: float, deviations: list[float], seed: int = 0) -> np.ndarray:
    """Rows whose mean and covariance are exactly these."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(rows, len(deviations)))
    drawn -= drawn.mean(0)
    lower = np.linalg.cholesky(np.cov(drawn, rowvar=False))
    return drawn @ np.linalg.inv(lower).T * np.array(deviations) + mean


def test_frechet_distance_of_two_gaussians() -> None:
    a, b = gaussian(200, 0.0, [1.0, 2.0, 3.0]), gaussian(300, 0.5, [2.0, 2.0, 1.0], seed=1)
    # |m - n|^2 + sum of (s - t)^2, the covariances being diagonal (Dowson & Landau 1982)
    assert frechet(a, b) == pytest.approx(3 * 0.25 + (1.0 + 0.0 + 4.0), rel=1e-6)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-6)


def test_kernel_distance_by_hand() -> None:
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    # (x y / d + 1)^3 with d = 1; pairs of different rows within a set, all pairs between sets
    within_a, within_b = (1 * 2 + 1) ** 3, (0 * 1 + 1) ** 3
    between = ((0 + 1) ** 3 + (1 + 1) ** 3 + (0 + 1) ** 3 + (2 + 1) ** 3) / 4
    assert kernel(a, b) == pytest.approx(within_a + within_b - 2 * between)


def test_kernel_distance_of_many_is_the_mean_of_blocks() -> None:
    a, b = gaussian(2 * BLOCK, 0.0, [1.0, 1.0]), gaussian(2 * BLOCK, 0.3, [1.0, 1.0], seed=1)
    halves = [kernel(a[i : i + BLOCK], b[i : i + BLOCK]) for i in (0, BLOCK)]
    assert kernel(a, b) == pytest.approx(np.mean(halves))


def test_nothing_is_told_of_a_single_image() -> None:
    one = np.ones((1, 3))
    assert np.isnan(frechet(one, one)) and np.isnan(kernel(one, one))
    assert distance_interval(frechet, one, one).value is None


@pytest.mark.slow
def test_intervals_hold_the_distance_and_tell_a_clear_difference() -> None:
    real, near, far = (gaussian(150, mean, [1.0, 1.0, 1.0, 1.0], seed) for mean, seed in ((0.0, 0), (0.1, 1), (1.0, 2)))
    found = distance_interval(frechet, real, far)
    assert found.value is not None and found.low is not None and found.high is not None
    assert found.value == pytest.approx(4.0, rel=1e-6)
    assert found.low < found.value < found.high
    for distance in (frechet, kernel):
        difference = difference_interval(distance, real, near, far)
        assert difference.high is not None and difference.high < 0
        same = difference_interval(distance, real, near, near)
        assert same.low == same.high == 0.0
