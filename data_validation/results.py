"""What a validation says, in a form that survives JSON, and the rows behind it."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
from pydantic import Field

from configs.schema import StrictModel
from data_validation.rules import Severity

QUARANTINE_COLUMNS = ("table", "row", "key", "rule", "reason")


class CheckResult(StrictModel):
    """One rule on one table."""

    table: str
    rule: str
    level: Literal["row", "table"]
    severity: Severity
    passed: bool
    failed_rows: int = Field(default=0, description="rows that break it; 0 for a table-level rule")
    examples: tuple[str, ...] = Field(default=(), description="key: value of the first rows that break it")
    detail: str = Field(default="", description="what was found, in one line; empty when passed")
    reason: str = Field(default="", description="why the rule exists")

    @property
    def stops(self) -> bool:
        """Whether it stops a run."""
        return not self.passed and self.severity == "error" and self.level == "table"


class ValidationResult(StrictModel):
    """The verdict: `passed` is False when a table-level error was found; quarantine alone does not stop a run."""

    data: str = Field(description="fingerprint of the catalogue")
    passed: bool
    rows: dict[str, int] = Field(description="rows a table")
    quarantined: dict[str, int] = Field(description="rows in quarantine a table")
    checks: tuple[CheckResult, ...]

    def failures(self, severity: Severity | None = None) -> tuple[CheckResult, ...]:
        """Checks that did not pass."""
        return tuple(c for c in self.checks if not c.passed and severity in (None, c.severity))

    def stopping(self) -> tuple[CheckResult, ...]:
        """Failed checks that stop a run."""
        return tuple(check for check in self.checks if check.stops)

    def summary(self) -> str:
        """One line."""
        errors, quarantined = len(self.stopping()), sum(self.quarantined.values())
        verdict = "passed" if self.passed else f"failed: {'; '.join(f'{c.table}: {c.detail}' for c in self.stopping())}"
        faults = len(self.failures()) - errors
        return f"{verdict} ({len(self.checks)} checks, {faults} with faulty rows or warnings, {quarantined:,} rows in quarantine)"


@dataclass(frozen=True)
class ValidationRun:
    """The verdict and the rows in quarantine.

    `quarantine` has a row for each row and rule it broke: table, row (position in the file), key, rule, reason.
    """

    result: ValidationResult
    quarantine: pd.DataFrame

    def rows_of(self, table: str) -> list[int]:
        """Positions of the quarantined rows of `table`, ascending."""
        chosen = self.quarantine.loc[self.quarantine["table"] == table, "row"]
        return sorted(int(row) for row in chosen.unique())


def empty_quarantine() -> pd.DataFrame:
    """No rows, of the form that `ValidationRun.quarantine` has."""
    types = {"table": "object", "row": "int64", "key": "object", "rule": "object", "reason": "object"}
    return pd.DataFrame({name: pd.Series(dtype=types[name]) for name in QUARANTINE_COLUMNS})
