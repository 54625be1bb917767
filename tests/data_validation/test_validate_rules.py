"""Faults in an otherwise clean delivery are found by name, and quarantined where they should be."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.schema import ValidationConfig
from data_validation.results import ValidationRun
from data_validation.run import usable, validate

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Deliver = Callable[[dict[str, pd.DataFrame]], Catalogue]


def run(delivered: Deliver, tables: dict[str, pd.DataFrame], **config: Any) -> ValidationRun:
    return validate(delivered(tables), ValidationConfig(**config), now=NOW)


def failed(outcome: ValidationRun) -> set[tuple[str, str]]:
    return {(check.table, check.rule) for check in outcome.result.failures()}


def put(frame: pd.DataFrame, row: int, column: str, value: Any) -> pd.DataFrame:
    """A copy with one cell replaced."""
    changed = frame.copy()
    values = changed[column].tolist()
    values[row] = value
    changed[column] = pd.Series(values, index=changed.index, dtype=object if value is None or isinstance(value, bytes) else None)
    return changed


def test_a_clean_delivery_passes_every_check(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, tables)
    assert failed(outcome) == set()
    assert outcome.result.passed
    assert outcome.quarantine.empty
    assert set(outcome.result.rows) == set(tables)


@pytest.mark.slow
def test_usable_are_the_rows_that_no_rule_quarantines(
    delivered: Deliver, tables: dict[str, pd.DataFrame], caplog: pytest.LogCaptureFixture
) -> None:
    catalogue = delivered(tables | {"products": put(put(tables["products"], 3, "price", -5.0), 7, "price", 0.0)})
    left = usable(catalogue, ValidationConfig())
    wrong = set(tables["products"]["product_id"].iloc[[3, 7]])
    assert set(left.products()["product_id"]) == set(tables["products"]["product_id"]) - wrong
    assert left.fingerprint() == catalogue.fingerprint()
    assert f"2 of {len(tables['products'])} rows of products break a rule of validation and are left out" in caplog.text


ROW_ERRORS = [
    ("products", "price", 0.0, "price > 0"),
    ("products", "price", -5.0, "price > 0"),
    ("products", "price", float("inf"), "price <= 10,000,000"),
    ("products", "split", "Train", "split is train, validation, test or missing"),
    ("products", "title", "x" * 501, "title has at most 500 characters"),
    ("products", "product_id", 4, "product_id is unique"),
    ("products", "attributes", "[1, 2]", "attributes are a JSON object"),
    ("products", "attributes", "{broken", "attributes are a JSON object"),
    ("products", "listed_at", pd.Timestamp("2031-01-01", tz="UTC"), "listed_at is not in the future"),
    ("images", "jpeg", b"no photo", "image can be decoded"),
    ("images", "jpeg", None, "image can be decoded"),
    ("images", "product_id", 4, "product has one photo at a position"),
    ("variants", "product_id", 9999, "variant belongs to a product"),
    ("variants", "variant_id", None, "variant_id is given"),
    ("variants", "options", "size=M", "options are a JSON object"),
    ("variants", "variant_id", "1", "variant_id is unique within its product"),
    ("variants", "price", 0.0, "price > 0"),
    ("embeddings", "product_id", 4, "product_id is unique"),
    ("embeddings", "product_id", None, "product_id is given"),
    ("embeddings", "embedding", None, "embedding has one length and is finite"),
    ("embeddings", "embedding", [], "embedding has one length and is finite"),
    ("embeddings", "embedding", [1.0, 2.0], "embedding has one length and is finite"),
    ("embeddings", "embedding", [1.0, 2.0, float("inf")], "embedding has one length and is finite"),
    ("embeddings", "embedding", [1.0, None, 2.0], "embedding has one length and is finite"),
    ("purchases", "item_id", 9999, "item_id is a product"),
    ("purchases", "timestamp", pd.Timestamp("2031-01-01", tz="UTC"), "timestamp is not in the future"),
    ("purchases_test", "item_id", 9999, "item_id is a product"),
    ("item_attributes", "item_id", 9999, "item_id is a product"),
    ("events", "item_id", "9999", "item_id is a product"),
    ("events", "user_id", None, "user_id is given"),
    ("events", "item_id", None, "item_id is given"),
    ("events", "kind", None, "kind is given"),
    ("events", "kind", "click", "kind is view, cart or purchase"),
    ("events", "timestamp", None, "timestamp is given"),
    ("events", "timestamp", pd.Timestamp("2031-01-01", tz="UTC"), "timestamp is not in the future"),
    ("reviews", "rating", 6, "rating is 1 to 5"),
    ("reviews", "recommended", 2, "recommended is 0 or 1"),
    ("reviews", "review_id", 4, "review_id is unique"),
    ("reviews", "rating", 3.5, "rating is 1 to 5"),
    ("reviews", "review_id", None, "review_id is given"),
]


Case = tuple[str, str, Any, str]
FIRST_ROW = 6


def spoil(tables: dict[str, pd.DataFrame], cases: list[Case]) -> dict[str, pd.DataFrame]:
    """Each fault in a row of its own, see `row_of`."""
    spoiled = dict(tables)
    for number, (table, column, value, _) in enumerate(cases):
        spoiled[table] = put(spoiled[table], row_of(cases, number), column, value)
    return spoiled


def row_of(cases: list[Case], number: int) -> int:
    return FIRST_ROW + sum(case[0] == cases[number][0] for case in cases[:number])


def deliver(folder: Path, tables: dict[str, pd.DataFrame]) -> Catalogue:
    for name, frame in tables.items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    return Catalogue.open(folder)


@pytest.fixture(scope="module")
def with_errors(clean: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> ValidationRun:
    return validate(deliver(tmp_path_factory.mktemp("errors"), spoil(clean, ROW_ERRORS)), ValidationConfig(), now=NOW)


@pytest.fixture(scope="module")
def with_warnings(clean: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> ValidationRun:
    return validate(deliver(tmp_path_factory.mktemp("warnings"), spoil(clean, ROW_WARNINGS)), ValidationConfig(), now=NOW)


@pytest.mark.parametrize("number", range(len(ROW_ERRORS)), ids=lambda n: f"{ROW_ERRORS[n][0]}-{ROW_ERRORS[n][3]}")
def test_a_row_error_is_quarantined_by_name(with_errors: ValidationRun, number: int) -> None:
    table, _, _, rule = ROW_ERRORS[number]
    found = with_errors.quarantine
    row = found[(found["table"] == table) & (found["row"] == row_of(ROW_ERRORS, number))]
    assert row["rule"].tolist() == [rule]
    assert row["reason"].iat[0].startswith(rule)


def test_bad_rows_alone_do_not_stop_a_run(with_errors: ValidationRun) -> None:
    assert with_errors.result.passed
    expected = Counter(table for table, *_ in ROW_ERRORS)
    expected.update(["purchases", "item_attributes", "variants", "variants"])  # of the product whose id became another's
    assert with_errors.result.quarantined == {table: expected[table] for table in with_errors.result.rows}


ROW_WARNINGS = [
    ("products", "price", float("nan"), "price is given"),
    ("products", "discounted_price", 9999.0, "discounted_price <= price"),
    ("products", "discounted_price", 0.0, "discounted_price > 0"),
    ("products", "description", "<p>asfafaf<br> kasjhdkashd</p>", "description has at least 3 words"),
    ("products", "description", "-", "description has at least 3 words"),
    ("products", "description", "word " * 5000, "description has at most 20,000 characters"),
    ("products", "description", None, "description is given"),
    ("products", "title", " <br> ", "title is given"),
    ("products", "title", None, "title is given"),
    ("products", "title", "Roadster CafÃ© Shirt", "titles and labels are decoded rightly"),
    ("products", "brand", "CafÃ©", "titles and labels are decoded rightly"),
    ("products", "brand", " roadster", "a label has one spelling"),
    ("products", "age_group", "", "age_group is given"),
    ("products", "usage", "NA", "usage is given"),
    ("products", "year", 2026, "year is at most the year after listed_at"),
    ("products", "sub_category", "Shoes", "article_type has one sub_category"),
    ("products", "master_category", "Home", "sub_category has one master_category"),
    ("images", "product_id", 9999, "image belongs to a product"),
    ("embeddings", "product_id", 9999, "embedding belongs to a product"),
    ("purchases", "position", 0, "position is unique within a user"),
    ("purchases", "timestamp", pd.Timestamp("2021-01-01", tz="UTC"), "position follows timestamp"),
    ("purchases_test", "user_id", 77, "user_id is in purchases"),
    ("purchases_test", "item_id", 110, "item_id is in purchases"),
    ("reviews", "rating", None, "rating is given"),
    ("reviews", "recommended", None, "recommended is given"),
    ("reviews", "review", "word " * 2001, "review has at most 10,000 characters"),
    ("reviews", "title", "word " * 101, "title has at most 500 characters"),
]


@pytest.mark.parametrize("number", range(len(ROW_WARNINGS)), ids=lambda n: f"{ROW_WARNINGS[n][0]}-{ROW_WARNINGS[n][3]}")
def test_a_row_warning_is_named_with_an_example(with_warnings: ValidationRun, number: int) -> None:
    table, _, _, rule = ROW_WARNINGS[number]
    check = next(c for c in with_warnings.result.checks if (c.table, c.rule) == (table, rule))
    assert not check.passed
    assert check.severity == "warning"
    assert check.failed_rows >= 1
    assert check.examples


def test_warnings_quarantine_nothing(with_warnings: ValidationRun) -> None:
    assert with_warnings.result.passed
    assert with_warnings.quarantine.empty


def test_the_first_of_duplicate_ids_is_kept(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    products = pd.concat([tables["products"], tables["products"].iloc[[3]]], ignore_index=True)
    outcome = run(delivered, {"products": products})
    assert outcome.rows_of("products") == [120]
    assert outcome.quarantine["key"].tolist() == ["4"]
    assert ("products", "no two products share title, brand, base_colour, price") in failed(outcome)


def test_repeated_purchases_keep_the_first(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    purchases = pd.concat([tables["purchases"], tables["purchases"].iloc[[0, 1]]], ignore_index=True)
    outcome = run(delivered, {"purchases": purchases})
    assert outcome.rows_of("purchases") == [100, 101]
    assert set(outcome.quarantine["rule"]) == {"purchase is listed once"}


def test_test_purchases_seen_in_training_are_a_warning(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    leaked = tables["purchases"][["user_id", "item_id"]].iloc[:2]
    test = pd.concat([tables["purchases_test"], leaked], ignore_index=True)
    outcome = run(delivered, {"purchases": tables["purchases"], "purchases_test": test})
    assert failed(outcome) == {("purchases_test", "purchase is not in purchases")}


def test_review_without_any_text_is_quarantined(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    reviews = put(put(tables["reviews"], 5, "title", None), 5, "review", None)
    outcome = run(delivered, {"reviews": reviews})
    assert outcome.quarantine[["table", "key", "rule"]].values.tolist() == [["reviews", "5", "review or title has text"]]


@pytest.mark.parametrize(("title", "review"), [("", " "), (None, "NA"), ("<br>", "&nbsp;")])
def test_review_that_says_nothing_is_quarantined(
    delivered: Deliver, tables: dict[str, pd.DataFrame], title: str | None, review: str
) -> None:
    outcome = run(delivered, {"reviews": put(put(tables["reviews"], 5, "title", title), 5, "review", review)})
    assert outcome.rows_of("reviews") == [5]


@pytest.mark.parametrize("column", ["title", "review"])
def test_a_title_or_a_text_alone_is_enough(delivered: Deliver, tables: dict[str, pd.DataFrame], column: str) -> None:
    outcome = run(delivered, {"reviews": put(tables["reviews"], 5, column, None)})
    assert failed(outcome) == set()


def test_reviews_of_one_opinion_are_a_warning(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    reviews = tables["reviews"].assign(recommended=[1] * 29 + [0])
    reviews.loc[29, "rating"] = 9  # in quarantine: the other opinion cannot be learned from
    outcome = run(delivered, {"reviews": reviews})
    assert outcome.result.passed
    check = next(c for c in outcome.result.failures("warning") if c.rule == "some reviews recommend and some do not")
    assert check.detail == "all usable reviews that say so recommend, or none does"


@pytest.mark.parametrize("kind", ["bool", "boolean"])
def test_recommended_may_be_true_or_false(delivered: Deliver, tables: dict[str, pd.DataFrame], kind: str) -> None:
    reviews = tables["reviews"].assign(recommended=tables["reviews"]["recommended"].astype(kind))
    if kind == "boolean":
        reviews.loc[3, "recommended"] = pd.NA
    outcome = run(delivered, {"reviews": reviews})
    assert failed(outcome) == ({("reviews", "recommended is given")} if kind == "boolean" else set())
    assert outcome.quarantine.empty


@pytest.mark.slow
def test_values_unknown_to_the_model_in_production_are_a_warning(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    vocabulary = {"article_type": ["Shirts", "Jeans"]}
    outcome = validate(delivered({"products": tables["products"]}), ValidationConfig(), vocabulary, now=NOW)
    check = next(c for c in outcome.result.failures() if c.rule == "article_type is known to the model in production")
    assert check.failed_rows == 40
    assert "Sports Shoes" in check.examples[0]
