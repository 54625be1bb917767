"""Whether a version may become `challenger`: an evaluation and rules in, a decision with every failure out.

A metric that is missing, or was not measurable, fails its check, unless the version has no such task (`not_applicable`): then
there is nothing to check. Without a champion the comparisons have nothing to compare with and pass, saying so. With a champion
that lacks the metric they fail: an unknown is no proof of "not worse"; where the champion has no such task, there is nothing to
check. Without any check that applies there is no decision to make, and the version fails; so it does where those that apply are
about latency alone, though others are declared: nothing then says that its answers are right.
"""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from configs.schema import BetterThan, GateConfig, NoRegression, NotWorseThan, StrictModel, Threshold
from models.evaluation.comparison import independent_difference
from models.evaluation.results import Evaluation, Metric

SLACK = 1e-9  # forgives rounding in the last digit of a bound

TIMING = "_ms"
"""How metrics end that say how fast an answer is, not whether it is right: `latency_p95_ms`, `draw_p95_ms` and others."""

Kind = Literal["better_than", "not_worse_than", "no_regression", "threshold"]
State = Literal["passed", "failed", "not applicable"]


class GateCheck(StrictModel):
    """One check: `value` was held against `bound`; `detail` says in one line how it went."""

    name: str = Field(description="what is asked, in one line")
    metric: str
    kind: Kind
    passed: bool | None = Field(description="None where the gate is not applicable: nothing was measured")
    value: float | None
    bound: float | None = Field(description="what the value was held against: a bound, a baseline's or the champion's value")
    detail: str

    @property
    def state(self) -> State:
        """In words."""
        return "not applicable" if self.passed is None else "passed" if self.passed else "failed"


class GateDecision(StrictModel):
    """All checks; `passed` only if some are applicable, not of latency alone where others are declared, and each passed."""

    passed: bool
    checks: tuple[GateCheck, ...]

    def of(self, state: State) -> list[GateCheck]:
        """The checks in one state."""
        return [check for check in self.checks if check.state == state]

    def failures(self) -> list[str]:
        """One line for each reason why the version did not pass."""
        if not self.checks:
            return ["no gate is declared: list better_than, not_worse_than, no_regression or thresholds under gates"]
        left = self.of("not applicable")
        if len(left) == len(self.checks):
            return [f"no gate is applicable, so nothing says that the version may ship: {'; '.join(c.detail for c in left)}"]
        blind = "only its latency is checked, so nothing says that its answers are right: "
        unsaid = [blind + "; ".join(c.detail for c in left)] if _nothing_of_answers(self.checks) else []
        return unsaid + [check.detail for check in self.of("failed")]


def decide(evaluation: Evaluation, config: GateConfig, champion: Evaluation | None = None) -> GateDecision:
    """Hold an evaluation against baselines and bounds, and against the champion's evaluation of the same rows."""
    checks = [_against_baseline(evaluation, beat) for beat in config.better_than]
    checks += [_against_baseline(evaluation, hold) for hold in config.not_worse_than]
    checks += [_no_regression(evaluation, rule, champion) for rule in config.no_regression]
    checks += [_threshold(evaluation, rule) for rule in config.thresholds]
    told = [check.passed for check in checks if check.passed is not None]
    return GateDecision(passed=bool(told) and all(told) and not _nothing_of_answers(checks), checks=tuple(checks))


def _nothing_of_answers(checks: Sequence[GateCheck]) -> bool:
    """Whether checks of what is answered are declared, and none of them is applicable."""
    about = [check for check in checks if not check.metric.endswith(TIMING)]
    return bool(about) and all(check.passed is None for check in about)


def difference_of(evaluation: Evaluation, metric: str, baseline: str) -> Metric:
    """A metric minus a baseline's: row by row where the evaluation has it, else by the two intervals, which is less sharp."""
    for pair in evaluation.against:
        if (pair.metric, pair.baseline) == (metric, baseline):
            return pair.difference
    return independent_difference(evaluation.metrics[metric], evaluation.metrics[baseline])


def _against_baseline(evaluation: Evaluation, rule: BetterThan | NotWorseThan) -> GateCheck:
    beat = isinstance(rule, BetterThan)
    kind: Kind = "better_than" if beat else "not_worse_than"
    slack = rule.margin if isinstance(rule, BetterThan) else -rule.tolerance
    by = f" by more than {abs(slack):g}" if slack else ""
    name = f"{rule.metric} {'clearly better' if beat else 'not clearly worse'} than {rule.baseline}{by}"
    for asked in (rule.metric, rule.baseline):
        if absent := _not_checked(evaluation, asked, name, rule.metric, kind):
            return absent
    value, bound = _value(evaluation, rule.metric), _value(evaluation, rule.baseline)
    assert value is not None and bound is not None
    difference = difference_of(evaluation, rule.metric, rule.baseline)
    low, high = _gain(difference, rule.better, value, bound)
    passed = low > slack if beat else high >= slack - SLACK
    asked = f"asked: clearly better{by}" if beat else f"asked: not clearly worse{by}"
    return GateCheck(
        name=name,
        metric=rule.metric,
        kind=kind,
        passed=passed,
        value=value,
        bound=bound,
        detail=f"{rule.metric} is {value:.4g}, {rule.baseline} {bound:.4g}: {_how(low, high)}; {asked}",
    )


def _gain(difference: Metric, better: Literal["higher", "lower"], value: float, bound: float) -> tuple[float, float]:
    """The 95 % interval of how much better the version is; where there is no interval, the values alone."""
    plain = value - bound
    low = plain if difference.low is None else difference.low
    high = plain if difference.high is None else difference.high
    return (low, high) if better == "higher" else (-high, -low)


def _how(low: float, high: float) -> str:
    """An interval of gains in words."""
    if low > 0:
        return f"better by {low:.3g} to {high:.3g}"
    if high < 0:
        return f"worse by {-high:.3g} to {-low:.3g}"
    return f"between {abs(low):.3g} worse and {high:.3g} better" if low or high else "the same"


def _threshold(evaluation: Evaluation, rule: Threshold) -> GateCheck:
    higher = rule.at_least is not None
    bound = rule.at_least if rule.at_least is not None else rule.at_most
    assert bound is not None  # Threshold's validator
    asked = f"not clearly {'below' if higher else 'above'}" if rule.clearly else "≥" if higher else "≤"
    name = f"{rule.metric} {asked} {bound:g}"
    if absent := _not_checked(evaluation, rule.metric, name, rule.metric, "threshold", bound):
        return absent
    value = _value(evaluation, rule.metric)
    assert value is not None
    limit = f"at {'least' if higher else 'most'} {bound:g}"
    detail, held = f"{rule.metric} is {value:.4g}; allowed: {limit}", value
    if rule.clearly:
        metric = evaluation.metrics[rule.metric]
        end = metric.high if higher else metric.low
        held = value if end is None else end
        between = "" if metric.low is None or metric.high is None else f" (95 % interval {metric.low:.4g} to {metric.high:.4g})"
        detail = f"{rule.metric} is {value:.4g}{between}; allowed: {limit} beyond chance"
    return GateCheck(
        name=name,
        metric=rule.metric,
        kind="threshold",
        passed=_reaches(held, bound, higher),
        value=value,
        bound=bound,
        detail=detail,
    )


def _no_regression(evaluation: Evaluation, rule: NoRegression, champion: Evaluation | None) -> GateCheck:
    higher = rule.better == "higher"
    slack = f" by more than {rule.tolerance:g}" if rule.tolerance else ""
    name = f"{rule.metric} not {'below' if higher else 'above'} champion{slack}"
    current = _value(champion, rule.metric) if champion else None
    if absent := _not_checked(evaluation, rule.metric, name, rule.metric, "no_regression"):
        lost = f" (the champion reaches {current:.4g})" if absent.passed is None and current is not None else ""
        return absent.model_copy(update={"detail": absent.detail + lost})
    value = _value(evaluation, rule.metric)
    assert value is not None
    bound: float | None = None
    passed: bool | None = True
    if champion is None:
        detail = f"{rule.metric} is {value:.4g}; no champion yet"
    elif rule.metric in champion.not_applicable:
        reason = champion.not_applicable[rule.metric]
        passed, detail = None, f"{rule.metric} is {value:.4g}; the champion has no such task: {reason}"
    elif current is None:
        detail = f"champion's {_missing(champion, rule.metric)}, so {rule.metric} = {value:.4g} cannot be compared"
        passed = False
    else:
        bound = current - rule.tolerance if higher else current + rule.tolerance
        limit = f"at {'least' if higher else 'most'} {bound:.4g}"
        detail = f"{rule.metric} is {value:.4g}, champion {current:.4g}; allowed: {limit}"
        passed = _reaches(value, bound, higher)
    return GateCheck(name=name, metric=rule.metric, kind="no_regression", passed=passed, value=value, bound=bound, detail=detail)


def _not_checked(
    evaluation: Evaluation, asked: str, name: str, metric: str, kind: Kind, bound: float | None = None
) -> GateCheck | None:
    """The check called `name` where metric `asked` has no value: not applicable where there is no such task, else failed."""
    if asked in evaluation.not_applicable:
        passed, detail = None, f"{asked} is not applicable: {evaluation.not_applicable[asked]}"
    elif _value(evaluation, asked) is None:
        passed, detail = False, _missing(evaluation, asked)
    else:
        return None
    value = None if asked == metric else _value(evaluation, metric)
    return GateCheck(name=name, metric=metric, kind=kind, passed=passed, value=value, bound=bound, detail=detail)


def _value(evaluation: Evaluation, name: str) -> float | None:
    """The metric's value where there is one and it is finite."""
    value = evaluation.metrics[name].value if name in evaluation.metrics else None
    return value if value is not None and math.isfinite(value) else None


def _missing(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.metrics:
        return f"{name} is missing from the evaluation"
    return f"{name} could not be measured" + ("" if evaluation.metrics[name].n else ": no measured row has what it needs")


def _reaches(value: float, bound: float, higher: bool) -> bool:
    return value >= bound - SLACK if higher else value <= bound + SLACK
