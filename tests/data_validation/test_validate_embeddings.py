"""Vectors of products: what is wrong is said by product, and what is left can be read."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.schema import ValidationConfig
from data_validation.results import ValidationRun
from data_validation.run import validate

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Deliver = Callable[[dict[str, pd.DataFrame]], Catalogue]


def embeddings(vectors: list[Any]) -> dict[str, pd.DataFrame]:
    return {"embeddings": pd.DataFrame({"product_id": np.arange(len(vectors)) + 1, "embedding": pd.Series(vectors)})}


def run(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> ValidationRun:
    return validate(delivered(tables), ValidationConfig(), now=NOW)


def test_what_is_left_after_quarantine_is_read(delivered: Deliver) -> None:
    vectors = [[1.0, 2.0]] * 16 + [[1.0], None, [], [float("nan"), 1.0]]
    outcome = run(delivered, embeddings(vectors))
    assert outcome.result.passed
    assert outcome.quarantine[["key", "reason"]].values.tolist() == [
        ["17", "embedding has one length and is finite: is of length 1 where 2 is usual"],
        ["18", "embedding has one length and is finite: is missing"],
        ["19", "embedding has one length and is finite: is empty"],
        ["20", "embedding has one length and is finite: holds a value that is missing or not finite"],
    ]
    ids, found = delivered({}).without(outcome.quarantine).embeddings()
    assert ids.tolist() == list(range(1, 17))
    assert found.shape == (16, 2)


def test_without_products_no_vector_is_an_orphan(delivered: Deliver) -> None:
    outcome = run(delivered, embeddings([[1.0, 2.0]] * 3))
    assert outcome.result.failures() == ()


@pytest.mark.slow
def test_vectors_of_another_shop_are_a_warning(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    strange = {"embeddings": tables["embeddings"].assign(product_id="of another shop " + tables["products"]["title"])}
    outcome = run(delivered, {"products": tables["products"]} | strange)
    assert outcome.result.passed
    assert outcome.result.quarantined["embeddings"] == 0
    (check,) = (c for c in outcome.result.failures() if c.table == "embeddings")
    assert (check.rule, check.severity, check.failed_rows) == ("embedding belongs to a product", "warning", 120)


@pytest.mark.parametrize(
    ("vectors", "found"),
    [([1.0, 2.0], "number"), (["a", "b"], "string"), ([["a"], ["b"]], "list<element: string>")],
    ids=["numbers", "texts", "lists of texts"],
)
def test_what_is_no_list_of_numbers_stops_the_run(delivered: Deliver, vectors: list[Any], found: str) -> None:
    outcome = run(delivered, embeddings(vectors))
    (check,) = outcome.result.stopping()
    assert check.rule == "columns are of types that can be read"
    assert check.detail == f"embedding is of type {found}; allowed: list of numbers"


@pytest.mark.parametrize("vectors", [[None, None], [[], []], []], ids=["missing", "empty", "no rows"])
def test_a_table_that_says_nothing_stops_the_run(delivered: Deliver, vectors: list[Any]) -> None:
    outcome = run(delivered, embeddings(vectors))
    assert "at least 1 usable row" in {check.rule for check in outcome.result.stopping()}


def test_many_long_vectors_are_checked_in_pieces(delivered: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_validation.measures._VECTORS_A_BATCH", 7)
    values = np.random.default_rng(0).random((100, 32)).tolist()
    values[50][31] = float("inf")
    values[99] = values[99][:31]
    outcome = run(delivered, embeddings(values))
    assert outcome.rows_of("embeddings") == [50, 99]
