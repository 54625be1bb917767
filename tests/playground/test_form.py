"""A listing as a visitor fills it in."""

from dataclasses import replace
from pathlib import Path

import pytest

from playground.form import Form, WrongForm, number
from vitrina_client.models import CatalogueProduct

FILLED = Form(None, " Blue Jeans ", "", "Acme", "40", "Jeans", "gender: Men\n\nFit: Slim: very")


def test_what_is_filled_in_is_sent(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"jpeg")
    assert replace(FILLED, photo=str(photo)).listing() == {
        "title": "Blue Jeans",
        "brand": "Acme",
        "article_type": "Jeans",
        "price": 40.0,
        "gender": "Men",
        "attributes": {"Fit": "Slim: very"},
        "image": b"jpeg",
    }


def test_a_price_alone_is_no_listing() -> None:
    with pytest.raises(WrongForm, match="at least a title, a description or a photo"):
        Form(price="3").listing()


@pytest.mark.parametrize("line", ["gender", "gender:", ": Men"])
def test_a_detail_that_says_nothing_is_named(line: str) -> None:
    with pytest.raises(WrongForm, match=r"More details, line 2: .* is not NAME: VALUE"):
        replace(FILLED, details=f"a: b\n{line}").listing()


def test_a_change_is_written_where_it_belongs() -> None:
    change = {"title": "Jeans", "price": "41.5", "gender": "Women", "attributes.Waist Rise": "High", "master_category": "Apparel"}
    changed = FILLED.changed(change)
    assert (changed.title, changed.price, changed.brand) == ("Jeans", "41.5", "Acme")
    assert changed.details == "gender: Women\nFit: Slim: very\nWaist Rise: High\nmaster_category: Apparel"


def test_the_address_keeps_all_but_the_photo() -> None:
    kept = {name: str(value) for name, value in FILLED.place().items() if value not in (None, "")}
    assert Form.of_place(kept) == FILLED


def test_a_product_fills_it() -> None:
    product = CatalogueProduct(
        product_id=1, hidden=False, put=False, title="Jeans", description=None, brand=None, price=None,
        categories={"master_category": "Apparel", "article_type": "Jeans"}, attributes={"gender": "Men"}, has_photo=False,
        updated_at=None,
    )  # fmt: skip
    assert Form.of_product(product, None) == Form(None, "Jeans", "", "", "", "Jeans", "master_category: Apparel\ngender: Men")


@pytest.mark.parametrize(("said", "found"), [("", None), (" 24.50 ", 24.5), ("1,299", 1299.0), ("12 500.5", 12500.5), ("0", 0.0)])
def test_prices_are_read_as_people_write_them(said: str, found: float | None) -> None:
    assert number("Price", said) == found


@pytest.mark.parametrize("said", ["dear", "-1", "nan", "inf", "1,2", "1e999"])
def test_what_is_no_price_is_refused(said: str) -> None:
    with pytest.raises(WrongForm, match=r"^Price: '.*' is not a number from 0 on"):
        number("Price", said)
