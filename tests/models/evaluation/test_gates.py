import math

import pytest

from configs.schema import GateConfig
from models.evaluation.gates import decide
from models.evaluation.results import AgainstBaseline, Evaluation, Metric
from models.evaluation.verdict import verdict_of


def config(thresholds=(), no_regression=(), **more) -> GateConfig:
    return GateConfig.model_validate({"thresholds": list(thresholds), "no_regression": list(no_regression), **more})


def evaluation(metrics: dict[str, Metric], not_applicable=None, against=()) -> Evaluation:
    head = {"model": "product", "version": None, "data": "f", "split": "test", "n": 100, "slices": ()}
    fields = head | {"metrics": metrics, "not_applicable": not_applicable or {}, "against": tuple(against)}
    return Evaluation.model_construct(**fields)  # one test holds a NaN, which a validated metric cannot


def measured(not_applicable: dict[str, str] | None = None, **values: float | None) -> Evaluation:
    return evaluation({name: Metric(value=value, n=9) for name, value in values.items()}, not_applicable)


def around(value: float, half: float) -> Metric:
    return Metric(value=value, low=value - half, high=value + half, n=100)


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
@pytest.mark.parametrize("metrics", [{}, {"m": Metric(value=None, n=9)}, {"m": Metric.model_construct(value=math.nan, n=9)}])
def test_a_missing_or_nan_metric_fails_and_says_so(kind, metrics):
    rules = {
        "threshold": config([{"metric": "m", "at_least": 0.0}]),
        "no_regression": config(no_regression=[{"metric": "m", "better": "higher"}]),
    }
    decision = decide(evaluation(metrics), rules[kind], measured(m=0.0))
    assert not decision.passed
    expected = "m could not be measured" if metrics else "m is missing from the evaluation"
    assert decision.failures() == [expected]


def test_a_metric_that_no_row_was_measured_for_says_so():
    decision = decide(evaluation({"m": Metric(value=None)}), config([{"metric": "m", "at_least": 0.0}]))
    assert decision.failures() == ["m could not be measured: no measured row has what it needs"]


def test_a_missing_metric_fails_without_a_champion_too():
    assert not decide(measured(), config(no_regression=[{"metric": "m", "better": "higher"}]), None).passed


def test_without_champion_comparisons_pass_and_say_so():
    decision = decide(measured(m=0.1), config(no_regression=[{"metric": "m", "better": "higher"}]), None)
    assert decision.passed
    assert "no champion yet" in decision.checks[0].detail


def test_a_champion_without_the_metric_fails():
    for champion in (measured(), measured(m=None)):
        decision = decide(measured(m=0.9), config(no_regression=[{"metric": "m", "better": "higher"}]), champion)
        assert not decision.passed
        assert decision.failures()[0].startswith("champion's m ")


def test_every_failure_is_listed_and_passes_are_not():
    rules = config(
        [{"metric": "a", "at_least": 1}, {"metric": "b", "at_least": 1}, {"metric": "c", "at_most": 1}],
        [{"metric": "a", "better": "higher"}, {"metric": "gone", "better": "lower"}],
    )
    decision = decide(measured(a=0.5, b=2.0, c=3.0), rules, measured(a=0.7, gone=1.0))
    assert [c.passed for c in decision.checks] == [False, False, False, True, False]
    assert [line.split()[0] for line in decision.failures()] == ["a", "gone", "a", "c"]
    assert all("\n" not in line for line in decision.failures())


def test_no_gate_is_no_pass():
    decision = decide(measured(m=1.0), GateConfig())
    assert not decision.passed
    assert len(decision.failures()) == 1


BEAT = {"metric": "m", "baseline": "b", "better": "higher"}


@pytest.mark.parametrize(
    ("better", "margin", "low", "high", "passed"),
    [
        ("higher", 0.0, 0.01, 0.05, True),
        ("higher", 0.0, 0.0, 0.05, False),  # may be no better
        ("higher", 0.0, -0.05, -0.01, False),
        ("higher", 0.02, 0.03, 0.05, True),
        ("higher", 0.02, 0.01, 0.05, False),
        ("lower", 0.0, -0.05, -0.01, True),
        ("lower", 0.0, -0.05, 0.01, False),
        ("lower", 0.02, -0.05, -0.01, False),
    ],
)
def test_a_baseline_is_beaten_only_where_the_whole_interval_is_better(better, margin, low, high, passed):
    difference = Metric(value=(low + high) / 2, low=low, high=high, n=100)
    against = [AgainstBaseline(metric="m", baseline="b", difference=difference)]
    told = evaluation({"m": around(0.5, 0.2), "b": around(0.5 - difference.value, 0.2)}, against=against)
    rule = BEAT | {"better": better, "margin": margin}
    check = decide(told, config(better_than=[rule])).checks[0]
    assert (check.passed, check.kind) == (passed, "better_than")
    assert (check.value, check.bound) == (0.5, pytest.approx(0.5 - difference.value))


@pytest.mark.parametrize(
    ("better", "tolerance", "low", "high", "passed"),
    [
        ("higher", 0.0, -0.05, 0.01, True),  # worse, but perhaps by chance
        ("higher", 0.0, -0.05, 0.0, True),
        ("higher", 0.0, -0.05, -0.01, False),
        ("higher", 0.02, -0.05, -0.01, True),
        ("higher", 0.02, -0.05, -0.03, False),
        ("lower", 0.0, -0.01, 0.05, True),
        ("lower", 0.0, 0.01, 0.05, False),
        ("lower", 0.02, 0.01, 0.05, True),
    ],
)
def test_a_baseline_is_held_unless_the_whole_interval_is_worse(better, tolerance, low, high, passed):
    against = [AgainstBaseline(metric="m", baseline="b", difference=Metric(value=(low + high) / 2, low=low, high=high, n=100))]
    told = evaluation({"m": around(0.5, 0.2), "b": around(0.52, 0.2)}, against=against)
    rule = BEAT | {"better": better, "tolerance": tolerance}
    assert decide(told, config(not_worse_than=[rule])).passed is passed


def test_without_a_paired_difference_the_two_intervals_decide():
    rules = config(better_than=[BEAT])
    # The error of a difference of independent figures is the root of the squared errors: 0.04 and 0.03 give 0.05.
    assert decide(evaluation({"m": around(0.751, 0.04), "b": around(0.7, 0.03)}), rules).passed
    assert not decide(evaluation({"m": around(0.749, 0.04), "b": around(0.7, 0.03)}), rules).passed


def test_the_words_of_a_comparison_say_both_figures_the_gain_and_what_is_asked():
    against = [AgainstBaseline(metric="m", baseline="b", difference=Metric(value=-0.03, low=-0.05, high=-0.01, n=100))]
    told = evaluation({"m": around(0.5, 0.1), "b": around(0.53, 0.1)}, against=against)
    decision = decide(told, config(better_than=[BEAT], not_worse_than=[BEAT | {"better": "lower"}]))
    assert decision.failures() == ["m is 0.5, b 0.53: worse by 0.01 to 0.05; asked: clearly better"]
    assert decision.checks[1].detail == "m is 0.5, b 0.53: better by 0.01 to 0.05; asked: not clearly worse"
    assert [check.name for check in decision.checks] == ["m clearly better than b", "m not clearly worse than b"]


@pytest.mark.parametrize("present", ["m", "b"])
def test_a_baseline_or_a_metric_that_is_missing_fails(present):
    decision = decide(measured(**{present: 0.5}), config(better_than=[BEAT], not_worse_than=[BEAT]))
    missing = "b" if present == "m" else "m"
    assert decision.failures() == [f"{missing} is missing from the evaluation"] * 2


@pytest.mark.parametrize(
    ("rule", "interval", "passed"),
    [
        ({"at_least": 0.85}, (0.80, 0.86), True),
        ({"at_least": 0.85}, (0.80, 0.84), False),
        ({"at_most": 0.05}, (0.04, 0.10), True),
        ({"at_most": 0.05}, (0.06, 0.10), False),
    ],
)
def test_a_bound_that_must_be_missed_clearly_reads_the_nearer_end_of_the_interval(rule, interval, passed):
    low, high = interval
    told = evaluation({"m": Metric(value=(low + high) / 2, low=low, high=high, n=50)})
    assert decide(told, config([{"metric": "m", "clearly": True, **rule}])).passed is passed
    assert not decide(told, config([{"metric": "m", **rule}])).passed


ALL_KINDS = {
    "thresholds": [{"metric": "m", "at_least": 0.9}],
    "no_regression": [{"metric": "m", "better": "higher"}],
    "better_than": [BEAT],
    "not_worse_than": [BEAT],
}


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_is_no_task_of_the_version_is_neither_passed_nor_failed(kind):
    other = {"metric": "other", "at_least": 0.5}
    rules = config(**(ALL_KINDS | {"thresholds": [other]}) if kind != "thresholds" else {"thresholds": [*ALL_KINDS[kind], other]})
    rules = rules.model_copy(update={k: () for k in ALL_KINDS if k not in (kind, "thresholds")})
    decision = decide(measured({"m": "no prices"}, other=0.7, b=0.2), rules, measured(m=0.8, b=0.2, other=0.6))
    absent = next(check for check in decision.checks if check.metric == "m")
    assert (absent.passed, absent.state, absent.value) == (None, "not applicable", None)
    assert absent.detail.startswith("m is not applicable: no prices")
    assert decision.passed
    assert decision.failures() == []
    assert not decide(measured({"m": "no prices"}, other=0.3, b=0.2), rules).passed


def test_a_baseline_that_cannot_be_makes_its_gate_not_applicable():
    told = measured({"b": "no titles"}, m=0.8)
    check = decide(told, config(better_than=[BEAT])).checks[0]
    assert (check.state, check.value, check.detail) == ("not applicable", 0.8, "b is not applicable: no titles")


def test_a_task_that_the_champion_does_not_have_is_not_compared():
    rules = config([{"metric": "m", "at_least": 0.5}], [{"metric": "m", "better": "higher"}])
    decision = decide(measured(m=0.6), rules, measured({"m": "no prices"}))
    assert [check.state for check in decision.checks] == ["not applicable", "passed"]
    assert decision.checks[0].detail == "m is 0.6; the champion has no such task: no prices"
    assert decision.passed


def test_a_task_that_only_the_champion_has_says_what_it_reaches():
    check = decide(
        measured({"m": "no prices"}), config(no_regression=[{"metric": "m", "better": "lower"}]), measured(m=0.21)
    ).checks[0]
    assert check.detail == "m is not applicable: no prices (the champion reaches 0.21)"


def test_gates_of_which_none_applies_are_no_pass():
    decision = decide(measured({"m": "no prices", "b": "no titles"}), config(**ALL_KINDS))
    assert not decision.passed
    assert len(decision.of("not applicable")) == 4
    assert decision.failures()[0].startswith("no gate is applicable, so nothing says that the version may ship: ")


@pytest.mark.parametrize(("milliseconds", "failed"), [(20, []), (900, ["latency_p95_ms is 900; allowed: at most 500"])])
def test_latency_alone_is_no_pass_where_answers_were_to_be_checked(milliseconds, failed):
    rules = config([{"metric": "m", "at_least": 0.5}, {"metric": "latency_p95_ms", "at_most": 500}])
    decision = decide(measured({"m": "no labels"}, latency_p95_ms=milliseconds), rules)
    assert not decision.passed
    unsaid = "only its latency is checked, so nothing says that its answers are right: m is not applicable: no labels"
    assert decision.failures() == [unsaid, *failed]
    assert verdict_of(decision)[0].startswith("Do not ship: 1 of 1" if failed else "Do not ship: only its latency was checked")


@pytest.mark.parametrize("metric", ["latency_p50_ms", "describe_p95_ms", "draw_p95_ms", "adapt_p95_ms"])
def test_latency_is_that_of_any_model(metric):
    rules = config([{"metric": "m", "at_least": 0.5}, {"metric": metric, "at_most": 500}])
    assert not decide(measured({"m": "no labels"}, **{metric: 20}), rules).passed


def test_whoever_asks_for_latency_alone_is_answered_by_it():
    assert decide(measured(latency_p95_ms=20), config([{"metric": "latency_p95_ms", "at_most": 500}])).passed


def test_a_gap_is_no_task_only_where_the_evaluation_says_so():
    decision = decide(measured({"other": "no prices"}, m=None), config([{"metric": "m", "at_least": 0.5}]))
    assert decision.failures() == ["m could not be measured"]


def test_decision_survives_json():
    decision = decide(measured({"n": "no prices"}, m=0.5), config([{"metric": x, "at_least": 0.8} for x in ("m", "n")]))
    assert [check.passed for check in decision.checks] == [False, None]
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision
