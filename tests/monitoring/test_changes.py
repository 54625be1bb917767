import pandas as pd
import pytest

from monitoring.changes import change, change_of_missing


@pytest.mark.parametrize(
    ("kind", "before", "now", "told"),
    [
        ("numerical", [1.0, 2.0, 3.0], [7.0, 8.0, 9.0], "median 2 before, 8 now"),
        (
            "numerical",
            [1.0, 2.0, 3.0, 4.0, 5.0],
            [-5.0, -4.0, 3.0, 10.0, 11.0],
            "half between 2 and 4 before, between -4 and 10 now",
        ),
        ("numerical", [0.9, 0.95, 0.99], [1e-6, 2e-6, 3e-6], "median 0.95 before, < 0.001 now"),
        ("numerical", [1400.0, 1500.0, 1600.0], [2800.0, 2822.0, 2900.0], "median 1,500 before, 2,822 now"),
        ("categorical", ["a"] * 9 + ["b"], ["a"] * 4 + ["b"] * 5 + ["c"], "“a” in 90% of rows before, 40% now"),
        ("categorical", [1, 1, 2, 2], [2, 2, 2, 2], "“1” in 50% of rows before, 0% now"),
        ("text", ["Blue shirt", "Red shirt"], ["Wool coat", "Red COAT, coat"], "the word “coat” in 0% of texts before, 100% now"),
        ("text", ["1 2", ""], ["3"], ""),
        ("embedding", [[1.0], [2.0]], [[3.0]], ""),
    ],
)
def test_the_largest_change_is_told(kind: str, before: list[object], now: list[object], told: str) -> None:
    assert change(kind, pd.Series(before), pd.Series(now)) == told  # type: ignore[arg-type]


def test_missing_values_are_told_as_shares() -> None:
    assert change_of_missing(0.0, 0.456) == "no value in 0% of rows before, 46% now"
