"""Headers that are not the first line of a file."""

from pathlib import Path

import pytest
import yaml
from spreadsheets import number, text, write_xlsx

from catalog.errors import CatalogueError
from catalog.importing.guess import guess
from catalog.importing.mapping import ImportMapping, ReadingMapping
from catalog.importing.run import import_table

AMAZON = (
    "TemplateType=fptcustom\tVersion=2023.02\tTemplateSignature=U0hJ\tThe top 3 rows are for Amazon.com use only.\t\n"
    "Seller SKU\tProduct Name\tBrand Name\tStandard Price\tMain Image URL\n"
    "item_sku\titem_name\tbrand_name\tstandard_price\tmain_image_url\n"
    "TEE\tPlain tee\tAcme\t12.99\thttps://a.com/t.jpg\nCUP\tCup\tAcme\t5.00\thttps://a.com/c.jpg\n"
)
ROWS = {2: [number("A", "1"), text("B", "Tea"), number("C", "5.5")], 3: [number("A", "2"), text("B", "Cup"), number("C", "6")]}
NAMES = [text("A", "SKU"), text("B", "Name"), text("C", "Price")]


def proposed(path: Path) -> ImportMapping:
    return ImportMapping.model_validate(yaml.safe_load(guess(path, ReadingMapping())))


@pytest.mark.parametrize(
    ("content", "skip"),
    [
        ("Export of 2024-05-01\nShop: Tea & Co\n\nsku,name,price\nA1,Tea,5\nA2,Cup,6\n", 3),
        ("# exported by X\nsku;name;price\nA1;Tea;5\nA2;Cup;6\n", 1),
        ("Price list,,\n,,\nSKU,Name,Price\n1,Tea,5\n2,Cup,6\n", 2),
        (AMAZON, 2),
        ("sku,name,price\nA1,Tea,5\nA2,Cup,6\n", 0),
        ("sku,name,price,type\nA1,Body,5,Set\nA2,Brand,6,Label\n", 0),
    ],
)
def test_lines_before_the_header_are_skipped(tmp_path: Path, content: str, skip: int) -> None:
    path = tmp_path / "export.txt"
    path.write_text(content, encoding="utf-8")
    mapping = proposed(path)
    assert mapping.skip == skip
    assert {"product_id", "title", "price"} <= set(mapping.columns)
    assert import_table(mapping, path, out=tmp_path / "out").rows == 2


def test_a_sheet_that_names_columns_is_read(tmp_path: Path) -> None:
    front = {1: [text("A", "Export"), text("B", "2024")], 2: [text("A", "Shop"), text("B", "Tea & Co")]}
    path = write_xlsx(tmp_path / "book.xlsx", {"Front": front, "Items": {1: NAMES, **ROWS}})
    mapping = proposed(path)
    assert (mapping.sheet, mapping.skip, mapping.columns["title"]) == ("Items", 0, "Name")
    titled = write_xlsx(tmp_path / "titled.xlsx", {"List": {1: [text("A", "Spring")], 2: NAMES, 4: ROWS[2], 5: ROWS[3]}})
    mapping = proposed(titled)
    assert (mapping.sheet, mapping.skip) == (None, 1)
    assert import_table(mapping, titled, out=tmp_path / "out").rows == 2


def test_a_file_of_which_no_row_fits_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("foo,bar\n1,2,3\n4,5,6\n", encoding="utf-8")
    with pytest.raises(CatalogueError, match="none fits; the first: line 2, 3 values where the header names 2"):
        guess(path, ReadingMapping())
