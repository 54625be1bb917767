import math

import pytest

from configs.schema import GateConfig
from models.evaluation.gates import decide
from models.evaluation.results import Metric


def config(thresholds=(), no_regression=()) -> GateConfig:
    return GateConfig.model_validate({"thresholds": list(thresholds), "no_regression": list(no_regression)})


def measured(**values: float | None) -> dict[str, Metric]:
    return {name: Metric(value=value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("rule", "value", "passed"),
    [
        ({"at_least": 0.8}, 0.8, True),
        ({"at_least": 0.8}, 0.79, False),
        ({"at_most": 0.5}, 0.5, True),
        ({"at_most": 0.5}, 0.51, False),
        ({"at_least": 0.0}, -0.1, False),
        ({"at_most": 0.0}, 0.0, True),
    ],
)
def test_threshold_keeps_its_direction(rule, value, passed):
    decision = decide(measured(m=value), config([{"metric": "m", **rule}]))
    assert decision.passed is passed
    assert decision.failures() == ([] if passed else [decision.checks[0].detail])
    assert decision.checks[0].bound == next(iter(rule.values()))


@pytest.mark.parametrize(
    ("better", "value", "passed"),
    [
        ("higher", 0.88, True),
        ("higher", 0.87, False),
        ("higher", 0.99, True),
        ("lower", 0.92, True),
        ("lower", 0.93, False),
        ("lower", 0.1, True),
    ],
)
def test_no_regression_keeps_its_direction_and_tolerance(better, value, passed):
    rule = {"metric": "m", "better": better, "tolerance": 0.02}
    assert decide(measured(m=value), config(no_regression=[rule]), measured(m=0.9)).passed is passed


@pytest.mark.parametrize("kind", ["threshold", "no_regression"])
@pytest.mark.parametrize("metrics", [{}, measured(m=None), {"m": Metric.model_construct(value=math.nan)}])
def test_a_missing_or_nan_metric_fails_and_says_so(kind, metrics):
    rules = {
        "threshold": config([{"metric": "m", "at_least": 0.0}]),
        "no_regression": config(no_regression=[{"metric": "m", "better": "higher"}]),
    }
    decision = decide(metrics, rules[kind], measured(m=0.0))
    assert not decision.passed
    expected = "m could not be measured" if metrics else "m is missing from the evaluation"
    assert decision.failures() == [expected]


def test_a_missing_metric_fails_without_a_champion_too():
    assert not decide({}, config(no_regression=[{"metric": "m", "better": "higher"}]), None).passed


def test_without_champion_comparisons_pass_and_say_so():
    decision = decide(measured(m=0.1), config(no_regression=[{"metric": "m", "better": "higher"}]), None)
    assert decision.passed
    assert "no champion yet" in decision.checks[0].detail


def test_a_champion_without_the_metric_fails():
    for champion in ({}, measured(m=None)):
        decision = decide(measured(m=0.9), config(no_regression=[{"metric": "m", "better": "higher"}]), champion)
        assert not decision.passed
        assert decision.failures()[0].startswith("champion's m ")


def test_every_failure_is_listed_and_passes_are_not():
    rules = config(
        [{"metric": "a", "at_least": 1}, {"metric": "b", "at_least": 1}, {"metric": "c", "at_most": 1}],
        [{"metric": "a", "better": "higher"}, {"metric": "gone", "better": "lower"}],
    )
    decision = decide(measured(a=0.5, b=2.0, c=3.0), rules, measured(a=0.7, gone=1.0))
    assert [c.passed for c in decision.checks] == [False, True, False, False, False]
    assert [line.split()[0] for line in decision.failures()] == ["a", "c", "a", "gone"]
    assert all("\n" not in line for line in decision.failures())


def test_no_gate_is_no_pass():
    decision = decide(measured(m=1.0), GateConfig())
    assert not decision.passed
    assert len(decision.failures()) == 1


def test_decision_survives_json():
    decision = decide(measured(m=0.5), config([{"metric": "m", "at_least": 0.8}]))
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision
