from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from configs.schema import DriftConfig
from monitoring.drift import judge
from monitoring.verdict import DriftVerdict, ReferenceSpec

CONFIG = DriftConfig()
Made = Callable[[int, int], pd.DataFrame]


def drifted(verdict: DriftVerdict) -> set[tuple[str, str]]:
    return {(c.column, c.kind) for c in verdict.columns if c.drifted}


def test_same_distribution_is_no_drift(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    verdict = judge(reference, made(800, 1), spec, CONFIG)
    assert verdict.summary == "no drift"
    assert verdict.reasons == ()
    assert {(c.column, c.kind) for c in verdict.columns} == {
        ("price", "numerical"),
        ("attribute_count", "numerical"),
        ("brand", "categorical"),
        ("season", "missing"),
        ("season", "categorical"),
        ("predicted_article_type", "categorical"),
        ("title", "text"),
        ("embedding", "embedding"),
    }
    assert all(c.p_value is not None for c in verdict.columns)
    assert [p.p_value is not None for p in verdict.performance] == [True]


@pytest.mark.slow
def test_false_alarms_stay_below_alpha(made: Made, spec: ReferenceSpec) -> None:
    config = DriftConfig(alpha=0.1, min_effect=0.0)
    plain = spec.model_copy(update={"text": (), "embedding": None})
    alarms = [judge(made(400, 2 * i + 10), made(300, 2 * i + 11), plain, config).drifted for i in range(60)]
    assert np.mean(alarms) <= 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "kind"),
    [("price", "numerical"), ("predicted_article_type", "categorical"), ("title", "text"), ("embedding", "embedding")],
)
def test_a_real_shift_is_found_in_its_column(
    reference: pd.DataFrame, column: str, kind: str, made: Made, spec: ReferenceSpec
) -> None:
    current = made(800, 3)
    shifted = {
        "price": current["price"] * 1.5,
        "predicted_article_type": np.where(np.arange(800) % 3 == 0, "Belts", current["predicted_article_type"]),
        "title": "limited edition " + current["title"],
        "embedding": [vector + 0.5 for vector in current["embedding"]],
    }
    current[column] = shifted[column]
    verdict = judge(reference, current, spec.model_copy(update={"prediction": ()}), CONFIG)
    assert drifted(verdict) == {(column, kind)}
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(f"{column}: ")


def test_a_significant_trifle_is_no_drift(spec: ReferenceSpec) -> None:
    rng = np.random.default_rng(0)
    plain = spec.model_copy(update={"numerical": ("price",), "categorical": (), "text": (), "embedding": None, "prediction": ()})
    verdict = judge(
        pd.DataFrame({"price": rng.normal(size=60_000)}), pd.DataFrame({"price": rng.normal(0.05, 1, size=60_000)}), plain, CONFIG
    )
    assert verdict.columns[0].adjusted_p is not None
    assert verdict.columns[0].adjusted_p < CONFIG.alpha
    assert not verdict.drifted


@pytest.mark.parametrize("column", ["price", "season", "title", "embedding"])
@pytest.mark.parametrize("how", ["absent", "all null"])
def test_a_vanished_column_is_drift_by_name(
    reference: pd.DataFrame, column: str, how: str, made: Made, spec: ReferenceSpec
) -> None:
    current = made(400, 4)
    current = current.drop(columns=column) if how == "absent" else current.assign(**{column: None})
    verdict = judge(reference, current, spec, CONFIG)
    assert drifted(verdict) == {(column, "missing")}
    assert verdict.reasons == (f"{column}: vanished, no row of the window has a value",)


def test_a_column_that_was_always_empty_is_not_compared(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    verdict = judge(reference.assign(price=np.nan), made(400, 5).assign(price=np.nan), spec, CONFIG)
    assert not verdict.drifted
    assert [c.test for c in verdict.columns if c.column == "price"] == [
        "not compared: 0 values in the reference, 0 in the window"
    ]


def test_more_missing_values_are_drift(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    current = made(400, 6)
    current.loc[::2, "season"] = None
    assert drifted(judge(reference, current, spec, CONFIG)) == {("season", "missing")}


def test_too_few_rows_give_no_verdict(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    verdict = judge(reference, made(199, 7).assign(price=1e6), spec, CONFIG)
    assert verdict.summary == "not enough data"
    assert not verdict.drifted
    assert verdict.reasons == ("the window has 199 rows; at least 200 are needed",)
    assert judge(reference, pd.DataFrame(), spec, CONFIG).reasons == ("the window has 0 rows; at least 200 are needed",)


def test_more_errors_are_drift_where_feedback_came(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    current = made(400, 8)
    current["true_article_type"] = current["true_article_type"].mask(np.arange(400) % 4 == 0, "Hats")
    current.loc[current.index[200:], "true_article_type"] = None
    verdict = judge(reference, current, spec, CONFIG)
    (performance,) = verdict.performance
    assert performance.n_current == 200
    assert performance.drifted
    assert verdict.reasons == (
        f"predicted_article_type is wrong in {performance.current_error:.1%} of 200 answers with feedback, "
        f"{performance.reference_error:.1%} before",
    )


def test_without_feedback_performance_is_not_compared(reference: pd.DataFrame, made: Made, spec: ReferenceSpec) -> None:
    (performance,) = judge(reference, made(400, 9).drop(columns="true_article_type"), spec, CONFIG).performance
    assert performance.p_value is None
    assert performance.note == "not compared: truth is known for 1500 rows of the reference and 0 of the window"
