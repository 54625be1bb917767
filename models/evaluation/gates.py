"""Whether a version may become `challenger`: metrics and bounds in, a decision with every failure out.

A metric that is missing, or was not measurable, fails its check. Without a champion the comparisons have nothing to
compare with and pass, saying so. With a champion that lacks the metric they fail: an unknown is no proof of "not worse".
Without any check there is no decision to make, and the version fails.
"""

import math
from collections.abc import Mapping
from typing import Literal

from configs.schema import GateConfig, NoRegression, StrictModel, Threshold
from models.evaluation.results import Metric

SLACK = 1e-9  # forgives rounding in the last digit of a bound


class GateCheck(StrictModel):
    """One check: `value` was held against `bound`; `detail` says in one line how it went."""

    name: str
    metric: str
    kind: Literal["threshold", "no_regression"]
    passed: bool
    value: float | None
    bound: float | None
    detail: str


class GateDecision(StrictModel):
    """All checks; `passed` only if there are some and each one passed."""

    passed: bool
    checks: tuple[GateCheck, ...]

    def failures(self) -> list[str]:
        """One line for each reason why the version did not pass."""
        if not self.checks:
            return ["no gate is declared: list thresholds or no_regression under gates"]
        return [check.detail for check in self.checks if not check.passed]


def decide(metrics: Mapping[str, Metric], config: GateConfig, champion: Mapping[str, Metric] | None = None) -> GateDecision:
    """Hold `metrics` against the thresholds, and against the champion's metrics on the same rows."""
    checks = [_threshold(metrics, bound) for bound in config.thresholds]
    checks += [_no_regression(metrics, rule, champion) for rule in config.no_regression]
    return GateDecision(passed=bool(checks) and all(c.passed for c in checks), checks=tuple(checks))


def _threshold(metrics: Mapping[str, Metric], rule: Threshold) -> GateCheck:
    higher = rule.at_least is not None
    bound = rule.at_least if rule.at_least is not None else rule.at_most
    assert bound is not None  # Threshold's validator
    name = f"{rule.metric} {'≥' if higher else '≤'} {bound:g}"
    value = _value(metrics, rule.metric)
    if value is None:
        return _check(name, rule.metric, "threshold", False, None, bound, _missing(metrics, rule.metric))
    passed = _reaches(value, bound, higher)
    detail = f"{rule.metric} is {value:.4g}; allowed: at {'least' if higher else 'most'} {bound:g}"
    return _check(name, rule.metric, "threshold", passed, value, bound, detail)


def _no_regression(metrics: Mapping[str, Metric], rule: NoRegression, champion: Mapping[str, Metric] | None) -> GateCheck:
    higher = rule.better == "higher"
    slack = f" by more than {rule.tolerance:g}" if rule.tolerance else ""
    name = f"{rule.metric} not {'below' if higher else 'above'} champion{slack}"
    value = _value(metrics, rule.metric)
    if value is None:
        return _check(name, rule.metric, "no_regression", False, None, None, _missing(metrics, rule.metric))
    if champion is None:
        return _check(name, rule.metric, "no_regression", True, value, None, f"{rule.metric} is {value:.4g}; no champion yet")
    current = _value(champion, rule.metric)
    if current is None:
        detail = f"champion's {_missing(champion, rule.metric)}, so {rule.metric} = {value:.4g} cannot be compared"
        return _check(name, rule.metric, "no_regression", False, value, None, detail)
    bound = current - rule.tolerance if higher else current + rule.tolerance
    detail = f"{rule.metric} is {value:.4g}, champion {current:.4g}; allowed: at {'least' if higher else 'most'} {bound:.4g}"
    return _check(name, rule.metric, "no_regression", _reaches(value, bound, higher), value, bound, detail)


def _value(metrics: Mapping[str, Metric], name: str) -> float | None:
    """The metric's value where there is one and it is finite."""
    value = metrics[name].value if name in metrics else None
    return value if value is not None and math.isfinite(value) else None


def _missing(metrics: Mapping[str, Metric], name: str) -> str:
    return f"{name} could not be measured" if name in metrics else f"{name} is missing from the evaluation"


def _reaches(value: float, bound: float, higher: bool) -> bool:
    return value >= bound - SLACK if higher else value <= bound + SLACK


def _check(
    name: str,
    metric: str,
    kind: Literal["threshold", "no_regression"],
    passed: bool,
    value: float | None,
    bound: float | None,
    detail: str,
) -> GateCheck:
    return GateCheck(name=name, metric=metric, kind=kind, passed=passed, value=value, bound=bound, detail=detail)
