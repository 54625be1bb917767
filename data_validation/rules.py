"""A rule: one Great Expectations expectation with what a person and the run need to know about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Stage = Literal["schema", "row", "table"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        name: Says what holds when the rule is kept, such as "price > 0".
        expectation: Type of the expectation, such as "expect_column_values_to_not_be_null".
        arguments: Its arguments.
        reason: Why it matters, or what becomes of the rows that break it.
        stage: "schema" looks at names and types of columns, "row" at each row, "table" at what is left after quarantine.
        severity: An error of a row sends the row to quarantine, an error of a schema or table stops the run.
        shows: Column whose value illustrates a row that broke the rule; the expectation's own by default.
        tells: What a rule of a whole table says when it is broken, from the value that was observed: what was counted,
            against what bound.
    """

    name: str
    expectation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    stage: Stage = "row"
    severity: Severity = "error"
    shows: str | None = None
    tells: Callable[[Any], str] | None = None

    @property
    def column(self) -> str | None:
        """Column that examples show."""
        named = self.shows or self.arguments.get("column") or self.arguments.get("column_A")
        return None if named is None else str(named)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the expectation looks at; of a table's own form it may be none."""
        named = [self.arguments[name] for name in ("column", "column_A", "column_B") if name in self.arguments]
        return (*named, *self.arguments.get("column_list", ()), *self.arguments.get("column_set", ()))

    @property
    def shows_words(self) -> bool:
        """Whether what examples show is our own sentence, not a value that was delivered."""
        return self.expectation == "expect_column_values_to_be_null" and self.shows is None

    @property
    def level(self) -> Literal["row", "table"]:
        """Whether single rows or the whole table break it."""
        return "row" if self.stage == "row" else "table"


def is_given(column: str, reason: str, severity: Severity = "warning") -> Rule:
    """The value is not missing."""
    arguments = {"column": column}
    return Rule(f"{column} is given", "expect_column_values_to_not_be_null", arguments, reason, severity=severity)


def finds_nothing(
    name: str, finding: str, reason: str, severity: Severity = "error", *, shows: str | None = None, stage: Stage = "row"
) -> Rule:
    """Column `finding`, made by `measures`, is null: it holds the fault, in words, where there is one."""
    return Rule(name, "expect_column_values_to_be_null", {"column": finding}, reason, stage, severity, shows)


def between(
    name: str,
    column: str,
    reason: str,
    *,
    low: float | None = None,
    high: float | None = None,
    strict_low: bool = False,
    severity: Severity = "error",
    shows: str | None = None,
) -> Rule:
    """The value, where there is one, lies within bounds."""
    arguments = {"column": column, "min_value": low, "max_value": high, "strict_min": strict_low}
    return Rule(name, "expect_column_values_to_be_between", arguments, reason, severity=severity, shows=shows)


def of_table(
    name: str,
    kind: Literal["sum", "mean", "max", "unique_value_count", "proportion_of_unique_values"],
    column: str,
    reason: str,
    tells: Callable[[Any], str],
    *,
    low: float | None = None,
    high: float | None = None,
    severity: Severity = "warning",
) -> Rule:
    """A figure of a whole column lies within bounds."""
    arguments = {"column": column, "min_value": low, "max_value": high}
    return Rule(name, f"expect_column_{kind}_to_be_between", arguments, reason, "table", severity, tells=tells)


def percent(share: float, bound: float | None = None) -> str:
    """A share such as "79 %", with as many decimals as it takes to differ from `bound`."""
    for digits in range(3):
        text = f"{share * 100:.{digits}f} %"
        if bound is None or text != f"{bound * 100:.{digits}f} %":
            break
    return text


def counted(number: float, one: str, many: str) -> str:
    """A number with what is counted, such as "no row is", "1 row is", "1,200 rows are"."""
    return f"no {one}" if not number else f"{number:,.0f} {one if number == 1 else many}"
