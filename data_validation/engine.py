"""Runs rules with Great Expectations and puts what it finds into our words."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_validation.light import light_imports
from data_validation.results import QUARANTINE_COLUMNS, CheckResult, empty_quarantine
from data_validation.rules import Rule, Stage
from data_validation.suites import KEYS

_EXAMPLES = 5
_EXAMPLE_LENGTH = 80
_OTHERS_PACKAGES = ("sqlalchemy", "google", "google.cloud", "google.auth", "google.api_core", "boto3", "azure", "pyspark")
"""Of stores and engines that Great Expectations knows; all that is checked here is a frame."""
_OTHER_EXPECTATIONS = ("scipy.stats", "altair")
"""Behind expectations about distributions, which no rule states."""


class Engine:
    """Great Expectations with an ephemeral context, quiet, and without analytics."""

    def __init__(self) -> None:
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        logging.getLogger("great_expectations").setLevel(logging.WARNING)  # before the import, which logs at INFO
        with light_imports(_OTHERS_PACKAGES, _OTHER_EXPECTATIONS):
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig
            from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        logging.getLogger(ProgressBarsConfig.__module__).setLevel(logging.WARNING)  # it sets its own level at import
        self._suite: Any = gx.ExpectationSuite
        self._configuration: Any = ExpectationConfiguration
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("catalogue").add_dataframe_asset("table")
        self._definition = asset.add_batch_definition_whole_dataframe("whole")

    def check(
        self, table: str, stage: Stage, rules: Sequence[Rule], frame: pd.DataFrame
    ) -> tuple[list[CheckResult], pd.DataFrame]:
        """Run the rules of one stage on `frame`; also returns the rows that break an error, as `quarantine` holds them."""
        chosen = [rule for rule in rules if rule.stage == stage]
        expectations = [
            self._configuration(
                type=rule.expectation, kwargs=dict(rule.arguments), meta={"rule": number}, severity=_SEVERITY[rule.severity]
            ).to_domain_obj()
            for number, rule in enumerate(chosen)
        ]
        batch = self._definition.get_batch(batch_parameters={"dataframe": _looked_at(chosen, frame)})
        outcome: Any = batch.validate(self._suite(name=f"{table}_{stage}", expectations=expectations), result_format="COMPLETE")
        found = {item.expectation_config.meta["rule"]: item for item in outcome.results}
        checks: list[CheckResult] = []
        broken = [empty_quarantine()]
        for number, rule in enumerate(chosen):
            item = found[number]
            rows = pd.Index([] if item.success else item.result.get("unexpected_index_list") or [])
            row_level = rule.level == "row"
            checks.append(
                CheckResult(
                    table=table,
                    rule=rule.name,
                    level=rule.level,
                    severity=rule.severity,
                    passed=bool(item.success),
                    failed_rows=len(rows) if row_level else 0,
                    examples=_examples(table, rule, frame, rows) if row_level else (),
                    detail="" if item.success else _detail(rule, item, frame, len(rows)),
                    reason=rule.reason,
                )
            )
            if row_level and rule.severity == "error" and len(rows):
                broken.append(_broken(table, rule, frame, rows))
        return checks, pd.concat(broken, ignore_index=True)


def _looked_at(rules: Sequence[Rule], frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that the rules look at, small: for each rule the whole frame is copied.

    Where only its gaps count, 1 stands for every value of a column.
    """
    whole = {column for rule in rules for column in rule.columns if rule.expectation not in _ABOUT_GAPS}
    gaps = {column for rule in rules for column in rule.columns} - whole
    columns = {
        name: np.where(frame[name].isna(), np.float16("nan"), np.float16(1)) if name in gaps else frame[name]
        for name in frame
        if name in gaps | whole
    }
    return pd.DataFrame(columns, index=frame.index)


_ABOUT_GAPS = (
    "expect_column_values_to_not_be_null",
    "expect_column_values_to_be_null",
    "expect_table_columns_to_match_set",
)
_SEVERITY = {"error": "critical", "warning": "warning"}


def _detail(rule: Rule, item: Any, frame: pd.DataFrame, rows: int) -> str:
    """What was counted against what bound, in one line."""
    if rule.level == "row" and "unexpected_count" in item.result:
        return f"{rows:,} of {len(frame):,} rows break this"
    if rule.stage == "schema":
        return "; ".join(frame[rule.arguments["column"]].dropna())
    if "observed_value" in item.result and rule.tells is not None:
        observed = item.result["observed_value"]
        return "there is no row" if len(frame) == 0 else rule.tells(observed)
    return f"could not be checked: {_problem(item.exception_info)}"


def _problem(info: Mapping[str, Any]) -> str:
    """First line of the exception behind an expectation that could not run."""
    nested = info if "exception_message" in info else next(iter(info.values()), {})
    return str(nested.get("exception_message") or "unknown").splitlines()[0]


def _examples(table: str, rule: Rule, frame: pd.DataFrame, rows: "pd.Index[Any]") -> tuple[str, ...]:
    first = frame.loc[rows[:_EXAMPLES]]
    keys = _keys(table, first)
    if rule.column is None or rule.column not in frame:
        return tuple(keys)
    return tuple(f"{key}: {_short(value, rule.shows_words)}" for key, value in zip(keys, first[rule.column], strict=True))


def _broken(table: str, rule: Rule, frame: pd.DataFrame, rows: "pd.Index[Any]") -> pd.DataFrame:
    broken = frame.loc[rows]
    values = broken[rule.column] if rule.column is not None else pd.Series("", broken.index)
    reasons = [f"{rule.name}: {_short(value, rule.shows_words)}" for value in values]
    columns = {
        "table": table,
        "row": broken.index.astype("int64"),
        "key": _keys(table, broken),
        "rule": rule.name,
        "reason": reasons,
    }
    return pd.DataFrame(columns, columns=list(QUARANTINE_COLUMNS))


def _keys(table: str, rows: pd.DataFrame) -> list[str]:
    parts = [rows[column].astype("string").fillna("?") for column in KEYS[table]]
    return ["/".join(values) for values in zip(*parts, strict=True)]


def _short(value: Any, words: bool) -> str:
    """A value, quoted where it is text that was delivered, as it is where it is our own words."""
    if isinstance(value, str):
        text = value if words else json.dumps(value, ensure_ascii=False)
    elif value is None or bool(pd.isna(value)):
        return "missing"
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"
