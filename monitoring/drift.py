"""The drift verdict: a test a column, corrected for their number, and an effect that has to matter.

Evidently runs the tests of single columns; text and embedding are compared by a kernel with permuted labels, because
Evidently's tests for them have thresholds and no p-values. A column counts as drifted when its Holm-adjusted p-value is at
most `alpha` and its effect at least `min_effect`: the first guards small windows and many columns, the second large windows.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from configs.schema import DriftConfig
from monitoring import two_sample
from monitoring.changes import change, change_of_missing
from monitoring.verdict import ColumnDrift, DriftVerdict, Kind, PerformanceDrift, ReferenceSpec

MIN_VALUES = 30
"""Fewer values in either sample are not compared."""

VANISHED = "vanished, no row of the window has a value"

_KERNEL_ROWS = 700
_HOMOGENEITY = "vitrina_homogeneity"
_METHODS: Mapping[Kind, str] = {"numerical": "ks", "categorical": _HOMOGENEITY}
_NAMES: Mapping[Kind, str] = {
    "numerical": "Kolmogorov-Smirnov",
    "categorical": "chi-square, two samples",
    "text": "MMD of TF-IDF, permutation",
    "embedding": "MMD, permutation",
    "missing": "Fisher's exact",
}
_MEASURES: Mapping[Kind, str] = {
    "numerical": "largest distance of the distribution functions",
    "categorical": "Cramér's V",
    "text": "cosine distance of the mean texts",
    "embedding": "maximum mean discrepancy",
    "missing": "change in the share that is missing",
}


def judge(reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec, config: DriftConfig) -> DriftVerdict:
    """Compare the window `current` with `reference`; both have the columns of `spec`, a missing value is null.

    Where the spec has columns to match, `monitoring.matching` has matched the two before.

    Where feedback came, `current` has `true_X` beside `predicted_X`, as `reference` has. A prediction may be a list: of the
    answers that hold the truth (the hit rate), often few, a share may be lost; of those that are one value, the error rate
    may rise.
    A column that has vanished, or is null in every row of the window alone, has drifted.
    """
    least = max(config.min_rows, MIN_VALUES)
    base = DriftVerdict(
        drifted=False,
        enough_rows=min(len(reference), len(current)) >= least,
        n_reference=len(reference),
        n_current=len(current),
        alpha=config.alpha,
        min_effect=config.min_effect,
    )
    if not base.enough_rows:
        which, rows = ("window", len(current)) if len(current) < least else ("reference", len(reference))
        return base.model_copy(update={"reasons": (f"the {which} has {rows} rows; at least {least} are needed",)})
    columns = _tests(reference, current, spec)
    performance = [_performance(reference, current, name) for name in spec.prediction]
    p_values = [column.p_value for column in columns] + [item.p_value for item in performance]
    adjusted = _adjusted(p_values)
    columns = [
        c.model_copy(
            update={"adjusted_p": p, "drifted": p is not None and p <= config.alpha and (c.effect or 0.0) >= config.min_effect}
        )
        for c, p in zip(columns, adjusted, strict=False)
    ]
    performance = [
        i.model_copy(update={"adjusted_p": p, "drifted": p is not None and p <= config.alpha and _matters(i, config)})
        for i, p in zip(performance, adjusted[len(columns) :], strict=True)
    ]
    reasons = [_reason(c) for c in sorted(columns, key=lambda c: -(c.effect or 0.0)) if c.drifted]
    reasons += [_performance_reason(p) for p in performance if p.drifted]
    found = {"drifted": bool(reasons), "reasons": tuple(reasons), "columns": tuple(columns), "performance": tuple(performance)}
    return base.model_copy(update=found)


def evidently_snapshot(reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, Kind]) -> Any:
    """Evidently's report on the numerical and categorical columns in `kinds`, with the tests that `judge` uses."""
    _register()
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    chosen = {column: kind for column, kind in kinds.items() if kind in _METHODS}
    definition = DataDefinition(
        numerical_columns=[c for c, kind in chosen.items() if kind == "numerical"],
        categorical_columns=[c for c, kind in chosen.items() if kind == "categorical"],
    )
    frames = (Dataset.from_pandas(_typed(frame, chosen), definition) for frame in (current, reference))
    return Report([ValueDrift(column=c, method=_METHODS[kind], threshold=0.05) for c, kind in chosen.items()]).run(*frames)


def comparable(reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec) -> dict[str, Kind]:
    """Columns with enough values on both sides to be compared, with their kinds."""
    return {
        column: kind
        for column, kind in spec.kinds().items()
        if min(_present(reference, column).sum(), _present(current, column).sum()) >= MIN_VALUES
    }


def _tests(reference: pd.DataFrame, current: pd.DataFrame, spec: ReferenceSpec) -> list[ColumnDrift]:
    kinds = comparable(reference, current, spec)
    p_values = _evidently_p(reference, current, kinds)
    found: list[ColumnDrift] = []
    for column, kind in spec.kinds().items():
        there = _present(reference, column), _present(current, column)
        if not all(part.all() for part in there) and any(part.any() for part in there):
            found.append(_missing(column, *there))
        if column not in kinds:
            note = f"not compared: {there[0].sum()} values in the reference, {there[1].sum()} in the window"
            found.append(ColumnDrift(column=column, kind=kind, test=note))
            continue
        values = (reference.loc[there[0], column], current.loc[there[1], column])
        p, effect = _kernel_test(kind, *values) if kind not in _METHODS else (p_values[column], _effect(kind, *values))
        of = ColumnDrift(column=column, kind=kind, test=_NAMES[kind], effect=effect, measure=_MEASURES[kind], p_value=p)
        found.append(of.model_copy(update={"change": change(kind, *values)}))
    return found


def _evidently_p(reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, float]:
    if not any(kind in _METHODS for kind in kinds.values()):
        return {}
    metrics = evidently_snapshot(reference, current, kinds).dict()["metrics"]
    return {metric["config"]["column"]: float(metric["value"]) for metric in metrics}


def _effect(kind: Kind, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> float:
    if kind == "numerical":
        return two_sample.kolmogorov_smirnov(reference.to_numpy(dtype=np.float64), current.to_numpy(dtype=np.float64))
    return two_sample.cramers_v(reference.astype(str).to_numpy(), current.astype(str).to_numpy())


def _kernel_test(kind: Kind, reference: "pd.Series[Any]", current: "pd.Series[Any]") -> tuple[float, float]:
    """p-value and effect of text or embedding, on at most `_KERNEL_ROWS` rows a side."""
    first, second = (part.sample(min(len(part), _KERNEL_ROWS), random_state=0).to_numpy() for part in (reference, current))
    if kind == "text":
        kernel = two_sample.text_kernel(first, second)
        return two_sample.permutation_p(kernel, len(first)), two_sample.cosine_distance_of_means(kernel, len(first))
    kernel = two_sample.embedding_kernel(np.stack(list(first)), np.stack(list(second)))
    return two_sample.permutation_p(kernel, len(first)), two_sample.discrepancy(kernel, len(first))


def _missing(column: str, reference: "pd.Series[bool]", current: "pd.Series[bool]") -> ColumnDrift:
    absent = [(int((~part).sum()), len(part)) for part in (reference, current)]
    before, now = (count / rows for count, rows in absent)
    p = two_sample.shares_differ(*absent)
    test, measure = _NAMES["missing"], _MEASURES["missing"]
    if not current.any():
        measure = VANISHED
    told = change_of_missing(before, now)
    found = ColumnDrift(column=column, kind="missing", test=test, effect=abs(before - now), measure=measure, p_value=p)
    return found.model_copy(update={"change": told})


def _performance(reference: pd.DataFrame, current: pd.DataFrame, prediction: str) -> PerformanceDrift:
    truth = "true_" + prediction.removeprefix("predicted_")
    wrong = [_wrong(frame, prediction, truth) for frame in (reference, current)]
    hits = any(_is_list(frame[prediction]).any() for frame in (reference, current) if prediction in frame)
    base = PerformanceDrift(prediction=prediction, hits=hits, n_reference=len(wrong[0]), n_current=len(wrong[1]))
    if min(len(part) for part in wrong) < MIN_VALUES:
        note = f"not compared: truth is known for {base.n_reference} rows of the reference and {base.n_current} of the window"
        return base.model_copy(update={"note": note})
    before, now = ((int(part.sum()), len(part)) for part in wrong)
    p = two_sample.share_increases(before, now)
    return base.model_copy(update={"reference_error": before[0] / before[1], "current_error": now[0] / now[1], "p_value": p})


def _wrong(frame: pd.DataFrame, prediction: str, truth: str) -> "pd.Series[bool]":
    """Whether each answer whose truth is known is wrong; 5 and "5" are the same."""
    known = _present(frame, prediction) & _present(frame, truth)
    if not known.any():
        return pd.Series(dtype=bool)
    answers, truths = frame.loc[known, prediction], frame.loc[known, truth].astype(str)
    lists = _is_list(answers)
    wrong = answers.astype(str) != truths
    lacking = [said not in map(str, answer) for answer, said in zip(answers[lists], truths[lists], strict=True)]
    return wrong.mask(lists, pd.Series(lacking, index=answers.index[lists], dtype=bool)).astype(bool)


def _is_list(values: "pd.Series[Any]") -> "pd.Series[bool]":
    """Where a cell holds a list: from JSON a list, from Parquet an array."""
    return pd.Series([isinstance(value, list | tuple | np.ndarray) for value in values], index=values.index, dtype=bool)


def _matters(performance: PerformanceDrift, config: DriftConfig) -> bool:
    if performance.hits:
        return performance.loss > config.max_hit_rate_loss
    return performance.rise > config.max_error_increase


def _performance_reason(found: PerformanceDrift) -> str:
    assert found.current_error is not None and found.reference_error is not None
    if found.hits:
        now, before = 1.0 - found.current_error, 1.0 - found.reference_error
        return f"{found.prediction}: hit rate {now:.1%} of {found.n_current} answers with feedback, {before:.1%} before"
    now, before = found.current_error, found.reference_error
    return f"{found.prediction} is wrong in {now:.1%} of {found.n_current} answers with feedback, {before:.1%} before"


def _adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction over the tests that were made."""
    made = [i for i, p in enumerate(p_values) if p is not None]
    corrected = two_sample.holm(np.array([p_values[i] for i in made], dtype=np.float64))
    adjusted: list[float | None] = [None] * len(p_values)
    for i, p in zip(made, corrected, strict=True):
        adjusted[i] = float(p)
    return adjusted


def _reason(column: ColumnDrift) -> str:
    if column.measure == VANISHED:
        return f"{column.column}: {VANISHED}"
    what = f"{column.column} (missing values)" if column.kind == "missing" else column.column
    return f"{what}: {column.change or f'{column.measure} {column.effect:.2f}'} (effect {column.effect:.2f})"


def _present(frame: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """Where the column has a value; nowhere if there is no such column."""
    if column not in frame:
        return pd.Series(False, frame.index)
    return frame[column].notna()


def _typed(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """The columns in the types that Evidently wants: float64, and strings with missing as null."""
    of: dict[str, Callable[[pd.Series[Any]], pd.Series[Any]]] = {
        "numerical": lambda values: pd.to_numeric(values).astype("float64"),
        "categorical": lambda values: values.astype(object).where(values.isna(), values.astype(str)),
    }
    return pd.DataFrame({column: of[kind](frame[column]) for column, kind in kinds.items()})


@cache
def _register() -> None:
    """Make `two_sample.homogeneity` known to Evidently."""
    logging.getLogger("evidently").setLevel(logging.WARNING)
    from evidently.legacy.calculations.stattests import register_stattest
    from evidently.legacy.calculations.stattests.registry import StatTest
    from evidently.legacy.core import ColumnType

    def test(reference: Any, current: Any, _: Any, threshold: float) -> tuple[float, bool]:
        p = two_sample.homogeneity(reference.dropna().to_numpy(), current.dropna().to_numpy())
        return p, p < threshold

    register_stattest(StatTest(_HOMOGENEITY, "chi-square of two samples, p-value", [ColumnType.Categorical]), default_impl=test)
