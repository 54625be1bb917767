"""Rows that are one product."""

from typing import Any

import pytest

from catalog.errors import CatalogueError
from catalog.importing.mapping import ImportMapping
from configs.errors import ConfigError
from configs.load import validate
from tests.catalog.importing.bringing import Imports, mapping_of

HANDLES: dict[str, Any] = {"more": {"product_id": "Handle", "title": "Title", "price": "Price", "discounted_price": "Sale"}}
SHOPIFY: dict[str, Any] = {
    **HANDLES,
    "variants": {"by": "Handle", "id": "SKU", "option_pairs": {"name": "Option{n} Name", "value": "Option{n} Value"}},
}
HEADER = "Handle,Title,SKU,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Price,Sale,Image\n"


def test_options_by_pairs_with_names_in_the_first_row_alone(imports: Imports) -> None:
    rows = (
        "polo,Polo,P1,Size,S,Colour,Red,10,,a.jpg\npolo,,P2,,M,,Blue,8,7,b.jpg\nmug,Mug,,Title,Default Title,,,4,,\n"
        "polo,,,,,,,,,c.jpg\npolo,,P3,,M,,Red,,,\n"
    )
    summary = imports.bring(HEADER + rows, mapping_of(**SHOPIFY))
    assert [(row["product_id"], row["title"], row["price"], row["discounted_price"]) for row in imports.rows()] == [
        ("polo", "Polo", 8.0, 7.0),
        ("mug", "Mug", 4.0, None),
    ]
    assert imports.attributes() == [{"Size": "S, M", "Colour": "Red, Blue"}, None]
    assert [tuple(row.values()) for row in imports.rows("variants")] == [
        ("polo", "P1", '{"Size": "S", "Colour": "Red"}', 10.0),
        ("polo", "P2", '{"Size": "M", "Colour": "Blue"}', 8.0),
        ("polo", "P3", '{"Size": "M", "Colour": "Red"}', 10.0),  # blank: the first row's
        ("mug", "mug-1", "{}", 4.0),
    ]
    assert (summary.read, summary.rows, summary.grouped, summary.variants) == (5, 2, 3, 4)


def test_the_discounted_price_is_that_of_the_lowest_price(imports: Imports) -> None:
    rows = "polo,Polo,P1,Size,S,,,20,15,\npolo,,P2,,M,,,10,,\n"
    imports.bring(HEADER + rows, mapping_of(**SHOPIFY))
    assert [(row["price"], row["discounted_price"]) for row in imports.rows()] == [(10.0, None)]


def test_a_price_that_cannot_be_read_leaves_out_its_row_alone(imports: Imports) -> None:
    rows = "polo,Polo,P1,Size,S,,,ten,few,\npolo,,P2,,M,,,8,,\ncap,Cap,P3,Size,S,,,ten,,\n"
    summary = imports.bring(HEADER + rows, mapping_of(**SHOPIFY, max_quarantined=0.7))
    assert [(row["title"], row["price"]) for row in imports.rows()] == [("Polo", 8.0)]  # called as its first row says
    assert imports.column("variant_id", "variants") == ["P2"]
    assert summary.quarantined == {"price cannot be read": 2}
    assert (summary.read, summary.rows, summary.grouped) == (3, 1, 0)
    assert imports.listed("products-quarantine.csv")[0].startswith("2,price: 'ten' is no number,")
    dropped = Imports(imports.folder / "other")
    dropped.folder.mkdir()
    dropped.bring(HEADER + rows, mapping_of(**SHOPIFY, unreadable={"price": "drop", "discounted_price": "drop"}))
    assert [(row["variant_id"], row["price"]) for row in dropped.rows("variants")] == [("P1", 8.0), ("P2", 8.0), ("P3", None)]


def test_a_row_without_a_handle_is_left_out(imports: Imports) -> None:
    summary = imports.bring(HEADER + "polo,Polo,P1,,,,,1,,\n,Cap,P2,,,,,1,,\n", mapping_of(**SHOPIFY, max_quarantined=0.5))
    assert summary.quarantined == {"no Handle": 1}
    assert imports.column("product_id") == ["polo"]


PARENTS: dict[str, Any] = {
    "more": {"price": "price", "base_colour": "colour"},
    "variants": {"parent": "parent", "options": {"Colour": "colour"}},
}
PARENT_HEADER = "sku,parent,name,colour,price\n"


def test_children_before_their_parent_and_a_parent_by_its_number(imports: Imports) -> None:
    rows = "2,id:7,Mug red,Red,4\n7,,Mug,,\n3,7,Mug blue,Blue,5\n9,,Cap,Green,3\n"
    imports.bring(PARENT_HEADER + rows, mapping_of(**PARENTS))
    assert [(row["product_id"], row["title"], row["price"]) for row in imports.rows()] == [(7, "Mug", 4.0), (9, "Cap", 3.0)]
    assert imports.attributes() == [{"Colour": "Red, Blue"}, None]
    assert [tuple(row.values()) for row in imports.rows("variants")] == [
        (7, "2", '{"Colour": "Red"}', 4.0),
        (7, "3", '{"Colour": "Blue"}', 5.0),
    ]


def test_a_parent_that_is_missing_and_one_that_is_there_twice(imports: Imports) -> None:
    rows = "7,,Mug,,4\n2,8,Mug red,Red,4\n7,,Mug again,,5\n3,7,Mug blue,Blue,5\n4,3,Mug dark blue,Blue,5\n"
    summary = imports.bring(PARENT_HEADER + rows, mapping_of(**PARENTS, max_quarantined=0.6))
    assert summary.quarantined == {"the parent is missing": 2, "id is repeated": 1}
    assert [line.split(",")[:2] for line in imports.listed("products-quarantine.csv")] == [
        ["3", "\"parent names '8'"],
        ["4", "product_id '7' is that of line 2 too"],
        ["6", "\"parent names '3'"],
    ]
    assert imports.column("title") == ["Mug"]


def test_products_that_stay_out_take_their_variants_with_them(imports: Imports) -> None:
    rows = "polo,,P1,Size,S,,,10,,\npolo,,P2,,M,,,8,,\ncap,Cap,P3,,,,,3,,\n"
    summary = imports.bring(HEADER + rows, mapping_of(**SHOPIFY))
    assert summary.left_out == {"no title, description or photo": 1}
    assert imports.column("product_id") == ["cap"]
    assert imports.column("product_id", "variants") == ["cap"]


def test_counted_ids_of_grouped_rows(imports: Imports) -> None:
    mapping = ImportMapping.model_validate(
        {
            "columns": {"title": "name", "price": "price"},
            "ids": "counted",
            "variants": {"by": "name", "options": {"Size": "size"}},
        }
    )
    imports.bring("name,size,price\nCap,S,3\nMug,one,4\nCap,M,2\n", mapping)
    assert [(row["product_id"], row["title"], row["price"]) for row in imports.rows()] == [(1, "Cap", 2.0), (2, "Mug", 4.0)]
    assert [(row["product_id"], row["variant_id"]) for row in imports.rows("variants")] == [(1, "1-1"), (1, "1-2"), (2, "2-1")]


@pytest.mark.parametrize(
    ("variants", "message"),
    [({}, "exactly one of by"), ({"by": "a", "parent": "b"}, "exactly one of by"), ({"parent": "b"}, "so columns must map one")],
)
def test_variants_that_make_no_sense_are_refused(variants: dict[str, str], message: str) -> None:
    said = {"columns": {"title": "name"}, "ids": "counted", "variants": variants}
    with pytest.raises(ConfigError, match=message):
        validate(ImportMapping, said, where="mapping.yaml")


def test_a_column_that_is_not_there(imports: Imports) -> None:
    with pytest.raises(CatalogueError, match="has no column Group; it has: sku, name"):
        imports.bring("sku,name\n1,a\n", mapping_of(variants={"by": "Group"}))
