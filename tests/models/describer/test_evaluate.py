"""What two writers of the same products differ in."""

import pandas as pd
import pytest

from models.describer.evaluate import paired_differences


def rows(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"given": [4.0] * 10, "said": [4.0] * 10, "rouge_l": [0.5] * 10} | columns)


def test_a_difference_is_that_of_the_metrics() -> None:
    new = rows(stated=[1.0] * 9 + [91.0], supported=[1.0] * 9 + [81.0], rouge_l=[0.6] * 9 + [float("nan")])
    old = rows(stated=[1.0] * 9 + [91.0], supported=[1.0] * 8 + [0.0, 91.0], said=[0.0] * 4 + [4.0] * 6)
    found = paired_differences(new, old, 200)
    # 90 of 100 against 99 of 100, though 9.89 tenths of the products' own shares stand against 9
    assert found["attribute_precision"].value == pytest.approx(0.90 - 0.99)
    assert found["attribute_coverage"].value == pytest.approx(1.0 - 0.6)
    assert found["attribute_coverage"].low is not None and found["attribute_coverage"].low > 0
    assert (found["rouge_l"].value, found["rouge_l"].n) == (pytest.approx(0.1), 9)


def test_what_states_nothing_has_no_difference() -> None:
    nothing, some = rows(stated=[0.0] * 10, supported=[0.0] * 10), rows(stated=[1.0] * 10, supported=[1.0] * 10)
    assert paired_differences(some, nothing, 20)["attribute_precision"].value is None
    assert paired_differences(some, some, 20)["attribute_precision"].value == 0.0
