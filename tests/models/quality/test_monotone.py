"""The model that every axis is: rising in all evidence, flat where good things lie, indifferent to what is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.quality.monotone import Monotone

RNG = np.random.default_rng(3)
GOOD = np.column_stack([RNG.normal(2, 1, 400), RNG.normal(0, 1, 400)])
BAD = np.column_stack([RNG.normal(-2, 1, 300), RNG.normal(0, 1, 300)])
MODEL = Monotone.fit(GOOD, BAD, (0.25, 1.0))


def test_it_tells_good_from_bad_by_the_evidence_that_does() -> None:
    assert np.median(MODEL.score(GOOD)) > 0.9 and np.median(MODEL.score(BAD)) < 0.1
    assert MODEL.steps[0].sum() > 10 * MODEL.steps[1].sum()


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(0, 9), st.integers(0, 1))
@settings(max_examples=200)
def test_more_evidence_never_costs(a: float, b: float, more: float, which: int) -> None:
    better = np.array([[a, b]])
    better[0, which] += more
    assert MODEL.score(better)[0] >= MODEL.score(np.array([[a, b]]))[0]


def test_it_is_flat_from_the_quantile_on_beyond_which_more_is_no_better() -> None:
    top = np.quantile(GOOD[:, 0], 0.25)
    at = MODEL.score(np.array([[top, 0.0], [top + 0.5, 0.0], [99.0, 0.0]]))
    assert at[0] == pytest.approx(at[1]) == pytest.approx(at[2])


def test_the_best_scores_1_and_missing_evidence_contradicts_nothing() -> None:
    assert MODEL.score(np.array([[99.0, 99.0]]))[0] == pytest.approx(1.0)
    assert MODEL.score(np.array([[np.nan, np.nan]]))[0] == pytest.approx(1.0)
    assert MODEL.score(np.array([[-9.0, np.nan]]))[0] == MODEL.score(np.array([[-9.0, 99.0]]))[0]


def test_the_score_is_the_logistic_of_the_curves() -> None:
    model = Monotone(np.array([[0.0, 1.0, 3.0]]), np.array([[2.0, 1.0]]), -1.0, np.array([1.0]))
    assert model.curves(np.array([[0.5]]))[0, 0] == pytest.approx(-2.0)  # one half of the first step is climbed
    assert model.score(np.array([[0.5]]))[0] == pytest.approx((1 / (1 + np.exp(0.0))) / (1 / (1 + np.exp(-2.0))))


def test_it_is_restored_as_it_was() -> None:
    again = Monotone.restore(MODEL.state())
    assert (again.score(BAD) == MODEL.score(BAD)).all() and (again.typical == MODEL.typical).all()


def test_evidence_that_no_good_thing_has_is_not_judged() -> None:
    model = Monotone.fit(np.column_stack([GOOD[:, 0], np.full(400, np.nan)]), BAD, (0.25, 0.25))
    assert np.isnan(model.typical[1]) and model.score(np.array([[99.0, -99.0]]))[0] == pytest.approx(1.0)
