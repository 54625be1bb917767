"""Table-level rules, the report, and real data."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from catalog.catalogue import Catalogue
from configs.errors import CheckFailed
from configs.schema import ValidationConfig
from data_validation.report import PAGE, QUARANTINE, RESULT, write_report
from data_validation.results import ValidationRun
from data_validation.run import require_passed, validate

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DATA = Path(os.environ.get("VITRINA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
Deliver = Callable[[dict[str, pd.DataFrame]], Catalogue]


def run(delivered: Deliver, tables: dict[str, pd.DataFrame], **config: Any) -> ValidationRun:
    return validate(delivered(tables), ValidationConfig(**config), now=NOW)


def stops(outcome: ValidationRun) -> dict[str, str]:
    return {check.rule: check.detail for check in outcome.result.stopping()}


def test_an_empty_catalogue_stops_the_run(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {name: frame.iloc[:0] for name, frame in tables.items()})
    assert not outcome.result.passed
    assert stops(outcome)["at least 100 usable rows"].startswith("there is no row")


@pytest.mark.slow
def test_one_category_only_stops_the_run(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"].assign(article_type="Shirts", sub_category="Topwear")})
    assert stops(outcome) == {"at least 2 article types": "1 article type is known; at least 2 must be"}


def test_too_few_products_stop_the_run(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"].iloc[:99]})
    assert stops(outcome) == {"at least 100 usable rows": "99 rows are usable; at least 100 must be"}


@pytest.mark.slow
def test_too_many_rows_in_quarantine_stop_the_run(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    products = tables["products"].assign(price=[0.0] * 30 + [10.0] * 90)
    outcome = run(delivered, {"products": products}, min_products=10)
    assert stops(outcome) == {"at most 20 % of rows in quarantine": "25 % of rows are in quarantine; at most 20 % may be"}
    assert outcome.result.quarantined == {"products": 30}


def test_a_column_of_the_wrong_type_stops_the_run_by_name(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"].assign(price="cheap", year="new")})
    assert stops(outcome) == {
        "columns are of types that can be read": "year is of type string; allowed: integer or number; "
        "price is of type string; allowed: number or integer"
    }


def test_absent_optional_columns_are_a_warning(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"].drop(columns=["price", "discounted_price"])})
    assert outcome.result.passed
    found = {check.rule: check.detail for check in outcome.result.failures("warning")}
    assert found == {
        "optional columns hold values": "no row has price, discounted_price",
        "at most 50 % of products without a photo": "no product has a photo that can be decoded",
    }


def test_a_catalogue_of_ids_and_titles_alone_can_be_validated(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"][["product_id", "title"]].astype(str)})
    assert outcome.result.passed
    assert outcome.quarantine.empty


@pytest.mark.slow
def test_a_catalogue_whose_photos_are_all_missing_says_so_and_is_usable(
    delivered: Deliver, tables: dict[str, pd.DataFrame]
) -> None:
    outcome = run(delivered, {"products": tables["products"], "images": tables["images"].iloc[:0]})
    assert outcome.result.passed
    assert {check.rule: check.detail for check in outcome.result.failures()} == {
        "at most 50 % of products without a photo": "no product has a photo that can be decoded",
        "at least 1 usable row": "there is no row",
    }


@pytest.mark.slow
def test_missing_and_broken_photos_count_together(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    images = tables["images"].iloc[:70].copy()
    images["jpeg"] = [b"broken"] * 11 + list(images["jpeg"].iloc[11:])
    outcome = run(delivered, {"products": tables["products"], "images": images})
    check = next(c for c in outcome.result.checks if c.rule == "at most 50 % of products without a photo")
    assert check.detail == "51 % of products have no photo that can be decoded; at most 50 % may"
    assert outcome.result.quarantined["images"] == 11


def test_without_title_and_description_a_photo_is_enough(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    products = tables["products"][["product_id", "article_type"]]
    outcome = run(delivered, {"products": products, "images": tables["images"].iloc[3:]})
    assert outcome.result.passed
    assert outcome.quarantine[["row", "rule"]].values.tolist() == [
        [row, "has a title, a description or a photo"] for row in range(3)
    ]


@pytest.mark.parametrize("alone", ["title", "description"])
def test_without_a_photo_one_text_is_enough(delivered: Deliver, tables: dict[str, pd.DataFrame], alone: str) -> None:
    products = tables["products"][["product_id", alone]].assign(price=None, article_type="NA")
    products.loc[5, alone] = "&nbsp;"
    outcome = run(delivered, {"products": products})
    assert outcome.result.passed
    assert outcome.rows_of("products") == [5]
    found = {check.rule: check.detail for check in outcome.result.failures("warning")}
    assert found["optional columns hold values"].startswith("no row has ")
    assert {"price", "article_type"} <= set(found["optional columns hold values"].removeprefix("no row has ").split(", "))
    assert f"{alone} is given" in found
    assert not any(name.startswith(("price", "article_type", "at least 2")) for name in found)


def test_blank_titles_are_no_twins(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    products = tables["products"].assign(price=100.0, discounted_price=90.0)
    products.loc[:9, "title"] = ["", None, " ", "<br>", "NA"] * 2
    products.loc[[20, 30], "title"] = "Same Shirt"
    outcome = run(delivered, {"products": products})
    (twins,) = (c for c in outcome.result.failures() if c.rule == "no two products share title, brand, base_colour, price")
    assert twins.failed_rows == 2
    assert twins.examples == ('21: "Same Shirt"', '31: "Same Shirt"')


def test_prices_that_are_all_zero_are_told_in_words(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    outcome = run(delivered, {"products": tables["products"].assign(price=0.0, discounted_price=float("nan"))})
    assert stops(outcome) == {
        "at least 100 usable rows": "no row is usable; at least 100 must be",
        "at most 20 % of rows in quarantine": "100 % of rows are in quarantine; at most 20 % may be",
        "at least 2 article types": "no article type is known; at least 2 must be",
    }
    found = {check.rule: check.detail for check in outcome.result.failures("warning")}
    assert found["a price is known for some products"] == "no product has a price above 0; at least one must"
    assert not any("times the lowest" in rule for rule in found)


def test_dirty_vocabularies_are_warnings_with_figures(delivered: Deliver, tables: dict[str, pd.DataFrame]) -> None:
    products = tables["products"].assign(
        article_type=[f"Class {row}" for row in range(118)] + ["shirts", "Shirts  "],
        product_id=["x" * 201, *map(str, range(119))],
        price=[0.01] * 60 + [9_999_999.0] * 60,
    )
    outcome = run(delivered, {"products": products})
    assert outcome.result.passed
    found = {check.rule: check for check in outcome.result.failures("warning")}
    alone = found["at most 50 % of article types have one product"].detail
    assert alone == "100 % of article types have one product each; at most 50 % may"
    apart = found["at most 50 % as many article types as products"].detail
    assert apart == "there are 100 % as many article types as products that have one; at most 50 % may be"
    spread = found["highest price is at most 10,000 times the lowest"].detail
    assert spread == (
        "but for 0.1 % at each end, the highest price is 999,999,900 times the lowest; at most 10,000 times is usual"
    )
    assert found["product_id has at most 200 characters"].failed_rows == 1
    (example,) = found["a label has one spelling"].examples
    assert "is usually written" in example


@pytest.mark.slow
def test_the_report_holds_verdict_rows_and_json(delivered: Deliver, tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    products = tables["products"].copy()
    products.loc[3, "title"] = "<b>Roadster</b> <script>alert(1)</script>"
    products.loc[4, "price"] = 0.0
    outcome = run(delivered, {"products": products})
    page = write_report(outcome, tmp_path / "report")
    html = page.read_text(encoding="utf-8")
    assert page.name == PAGE
    assert "price &gt; 0" in html
    assert "<script>alert" not in html
    parquet, csv = (tmp_path / "report" / name for name in QUARANTINE)
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), outcome.quarantine)
    assert len(pd.read_csv(csv)) == 1
    assert json.loads((tmp_path / "report" / RESULT).read_text())["quarantined"]["products"] == 1
    assert sorted(p.name for p in (tmp_path / "report").iterdir()) == sorted([PAGE, RESULT, *QUARANTINE])


@pytest.mark.slow
def test_a_broken_delivery_is_refused_in_one_line(delivered: Deliver, tables: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    outcome = run(delivered, {"products": tables["products"].iloc[:5]})
    with pytest.raises(CheckFailed, match=r"products: 5 rows are usable; at least 100 must be; see /x/page.html") as error:
        require_passed(outcome, Path("/x/page.html"))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not (DATA / "myntra").is_dir(), reason=f"no real data in {DATA}")
@pytest.mark.slow
def test_real_faults_of_myntra_are_found_by_name() -> None:
    outcome = validate(Catalogue.open(DATA / "myntra"), ValidationConfig())
    assert outcome.result.passed
    found = {check.rule: check.failed_rows for check in outcome.result.failures()}
    assert found["price > 0"] == 4
    assert found["year is given"] == 1
    assert found["age_group is given"] == 1
    assert found["description is given"] == 60
    assert found["description has at least 3 words"] > 1000
    assert outcome.result.quarantined == {"products": 4, "images": 0}


@pytest.mark.skipif(not (DATA / "reviews").is_dir(), reason=f"no real data in {DATA}")
def test_reviews_without_text_are_found() -> None:
    outcome = validate(Catalogue.open(DATA / "reviews"), ValidationConfig())
    assert outcome.result.passed
    assert outcome.result.quarantined == {"reviews": 714}
