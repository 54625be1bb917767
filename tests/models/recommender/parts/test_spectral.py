"""The low-pass filter against NumPy's singular vectors."""

from pathlib import Path

import numpy as np
import pytest
from recommender_cases import bare_items, cells, choice_of, grouped_cells, histories_of, purchases_of, random_cells, settings_of

from models.recommender.held_out import HeldOut
from models.recommender.parts.spectral import Spectral, SpectralConfig, low_pass


def test_the_low_pass_keeps_the_part_of_a_history_in_the_largest_singular_vectors() -> None:
    x, config = grouped_cells(), SpectralConfig(dimensions=5, iterations=6, user_power=0.3, item_power=0.2, answer_power=0.35)
    dense = x.toarray()
    users, items = np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)
    *_, turned = np.linalg.svd(dense.astype(np.float64) * users[:, None] ** -0.3 * items**-0.2, full_matrices=False)
    vectors = turned[:5].T
    expected = np.diag(items**-0.35) @ vectors @ vectors.T @ np.diag(items**0.35)
    reading, answering = low_pass(x, config, seed=0)
    np.testing.assert_allclose(reading @ answering.T, expected, atol=2e-3)


def test_the_low_pass_copes_with_more_dimensions_than_there_are() -> None:
    reading, answering = low_pass(random_cells(5, 9, 0.4, seed=1), SpectralConfig(), seed=0)
    assert reading.shape == answering.shape == (9, 5)
    assert np.isfinite(reading).all()
    assert np.isfinite(answering).all()


def test_scores_multiply_the_sum_of_what_was_read() -> None:
    sources, answers = np.array([[1, 0], [0, 2]], dtype=np.float32), np.array([[1, 1], [3, 0]], dtype=np.float32)
    part = Spectral(sources, answers, np.log(2))
    assert part.scores(histories_of([0, 1]))[0].tolist() == pytest.approx([2.5, 1.5])  # (1/2, 2) with each


def test_the_decay_is_chosen_and_kept(tmp_path: Path) -> None:
    """Everybody buys in a ring: the newest item alone says what comes next."""
    walks = [[(start + place) % 12 for place in range(4)] for start in range(12)]
    items, held = bare_items(12), HeldOut.of(histories_of(*walks), cells([[(walk[-1] + 1) % 12] for walk in walks], 12))
    training, settings = purchases_of(*walks, items=items), settings_of(tmp_path, SpectralConfig(dimensions=12))
    part = Spectral.fit(training, choice_of(held, 0.0, 1.0), settings)
    qualities = {decay: choice_of(held).quality(Spectral(part.sources, part.answers, decay)) for decay in (0.0, 1.0)}
    assert qualities[part.decay] == max(qualities.values())
    again = part.refit(training, settings)
    assert again.decay == part.decay
    np.testing.assert_array_equal(again.answers, part.answers)
