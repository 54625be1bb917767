import numpy as np
import pytest
from fewshot_cases import pool
from scipy.special import softmax

from models.evaluation.metrics import expected_calibration_error
from models.fewshot.calibration import SHOTS, Temperatures, accuracy, choosing_episodes, fit_temperature
from models.fewshot.episodes import Codes, EpisodesConfig, Floats, Pool
from models.fewshot.played import Setting, play
from models.fewshot.predictor import FewshotPredictor


def drawn(rows: int, temperature: float) -> tuple[Floats, Codes]:
    """Scores, and classes that were drawn from them at a temperature."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(rows, 5)).astype(np.float32)
    likely = softmax(scores / temperature, axis=1)
    return scores, (likely.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_a_temperature_that_classes_were_drawn_at_is_found(temperature: float) -> None:
    assert fit_temperature([drawn(8000, temperature)]) == pytest.approx(temperature, rel=0.1)


def test_few_rows_are_drawn_to_the_prior_and_many_are_not() -> None:
    few, many = drawn(4, 0.3), drawn(8000, 0.3)
    assert fit_temperature([few], prior=4.0, strength=1000.0) == pytest.approx(4.0, rel=0.05)
    assert fit_temperature([many], prior=4.0, strength=5.0) == pytest.approx(0.3, rel=0.1)


def test_temperatures_are_interpolated_on_a_log_scale_and_held_beyond_the_ends() -> None:
    table = Temperatures(np.array([1, 4], dtype=np.float32), np.array([0.1, 0.4], dtype=np.float32))
    assert table.at(2) == pytest.approx(0.2) and table.at(0.5) == pytest.approx(0.1) and table.at(20) == pytest.approx(0.4)
    again = Temperatures.restore(table.state())
    assert again.at(3) == table.at(3)


def test_shots_that_a_pool_has_no_episode_for_are_left_out() -> None:
    config = EpisodesConfig(choosing=5)
    assert [bool(choosing_episodes(pool(4, 7), shots, 2, config)) for shots in SHOTS] == [True, True, True, False, False]
    assert choosing_episodes(pool(1, 7), 1, 2, config) == []
    assert {episode.ways for episode in choosing_episodes(pool(3, 7), 1, 4, config)} == {3}


def test_accuracy_counts_problems_alike() -> None:
    right, wrong = np.array([[1, 0]], dtype=np.float32), np.array([[1, 0]] * 3, dtype=np.float32)
    assert accuracy([(right, np.array([0])), (wrong, np.array([1, 1, 0]))]) == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.slow
def test_probabilities_of_a_learner_say_how_often_it_is_right(made_up_predictor: FewshotPredictor, tested: Pool) -> None:
    learners = {"it": made_up_predictor.fitted.learners["shrunk_prototypes"]}
    played = play(tested, Setting(5, 5), learners, 60, EpisodesConfig())
    error = expected_calibration_error(np.concatenate(played.confidence("it")), np.concatenate(played.right("it")))
    assert error < 0.08
