"""The one score of all axes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.load import validate
from models.quality.answers import AXES, Axis
from models.quality.config import WEIGHTS, OverallConfig
from models.quality.overall import overall

CONFIG = OverallConfig()
SCORES = st.dictionaries(st.sampled_from(AXES), st.floats(0, 1), min_size=1)


def test_it_is_half_the_mean_and_half_the_lowest() -> None:
    assert overall({"title": 1.0, "photo": 0.2, "price": 0.6}, CONFIG) == pytest.approx(0.5 * 0.6 + 0.5 * 0.2)
    assert overall({"title": 0.7}, CONFIG) == pytest.approx(0.7)
    assert overall({}, CONFIG) == 0.0


def test_weights_move_the_mean_alone() -> None:
    config = OverallConfig(weights={**WEIGHTS, "title": 3.0})
    assert overall({"title": 1.0, "photo": 0.0}, config) == pytest.approx(0.5 * 0.75)
    none = OverallConfig(weights={**WEIGHTS, "title": 0.0})
    assert overall({"title": 0.4}, none) == pytest.approx(0.4)


@given(SCORES, st.sampled_from(AXES), st.floats(0, 1))
def test_it_never_falls_with_an_axis_and_stays_between_0_and_1(scores: dict[Axis, float], axis: Axis, more: float) -> None:
    better = {**scores, axis: max(scores.get(axis, 0.0), more)}
    before = overall({**scores, axis: scores.get(axis, 0.0)}, CONFIG)
    assert 0.0 <= before <= overall(better, CONFIG) + 1e-12 and overall(better, CONFIG) <= 1.0


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({**WEIGHTS, "title": -1.0}, "weights must not be negative"),
        (dict.fromkeys(AXES, 0.0), "one of them above 0"),
        ({"title": 1.0}, "weights lacks description, photo"),
    ],
)
def test_weights_that_say_nothing_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate(OverallConfig, {"weights": weights}, where="test")
