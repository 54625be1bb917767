"""Small catalogues that real shops' files looked like, each with what a person may expect of it."""

import gzip
import re
import unicodedata
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.images import decode
from tests.catalog.importing.bringing import Imports, mapping_of

LONGER = "sku,name,kind,text\n1,Mug, blue,Mug,Holds tea\n2,Cap, red,Cap,Shades the eyes\n3,Sock,Sock,Warm\n"
SHORTER = "sku,name,kind\n1,Cap,Cap\n2,Mug\n3,Sock,Sock\n"
BROKEN = "sku,name,kind,text\n1,Cap,Cap,Soft and\nwarm, and light\n2,Mug,Mug,Holds tea\n"
CURRENCIES = 'sku,name,price\n1,Mug,"€ 4,50"\n2,Cap,$5.00\n3,Hat,"1.299,00 EUR"\n4,Sock,"Rs. 2,499"\n'
MISSING = "sku,name,kind,price\n1,Mug,Mug,4.5\n2,Cap,N/A,N/A\n3,Sock,-,-\n4,Hat,NULL,\n5,NA,nan,3\n"
TWINS = 'sku,name,kind\n1,Polo one,Shirt\n2,Polo two,shirt\n3,Polo three,"Shirt "\n4,Polo four,SHIRT\n'
DATES = "sku,name,added\n1,Mug,2024-01-31\n2,Cap,31.01.2024\n3,Hat,1706659200\n4,Sock,0000-00-00\n"
RETURNS = (
    "invoice,sku,quantity,customer,when\n1,A,2,7,2024-01-01T10:00:00Z\n2,A,-2,7,2024-01-03T10:00:00Z\n"
    "3,B,1,,2024-01-04T10:00:00Z\n"
)


def refused(imports: Imports, content: str | bytes, message: str, name: str = "shop.csv", **said: Any) -> None:
    """One line of the message, and nothing written."""
    with pytest.raises(CatalogueError, match=message) as caught:
        imports.bring(content, mapping_of(**said), name=name)
    assert "\n" not in str(caught.value)
    assert not imports.out.exists()
    assert [path.name for path in imports.folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("content", "first", "share", "left"),
    [
        (LONGER, "67 % .* first: line 2: 5 values where the header names 4", 0.67, [3]),
        (SHORTER, "33 % .* first: line 3: 2 values where the header names 3", 0.34, [1, 3]),
        (BROKEN, "33 % .* first: line 3: 2 values where the header names 4", 0.34, [1, 2]),
    ],
)
def test_rows_that_do_not_fit_are_named_and_never_shift(
    content: str, first: str, share: float, left: list[int], imports: Imports
) -> None:
    text = {"description": "text"} if "text" in content else {}
    refused(imports, content, f"{first}$", more={"article_type": "kind", **text})
    summary = imports.bring(content, mapping_of(more={"article_type": "kind", **text}, max_quarantined=share))
    assert imports.column("product_id") == left
    assert imports.column("title") == [{1: "Cap", 2: "Mug", 3: "Sock"}[key] for key in left]
    assert imports.column("article_type") == imports.column("title")
    assert summary.quarantined == {"does not fit the header": 3 - len(left)}
    assert len(imports.listed("products-quarantine.csv")) == 3 - len(left)


def test_a_file_that_was_cut_off_is_refused(imports: Imports) -> None:
    refused(imports, 'sku,name,text\n1,Cap,Soft\n2,Mug,"Holds te', "line 3: the file ends inside a quoted value")


def test_quotes_are_text_where_the_dialect_has_none(imports: Imports) -> None:
    imports.bring('sku\tname\tprice\n1\t"Retro mug\t4\n2\tPlain mug\t5\n3\tBlue" mug\t6\n', mapping_of(more={"price": "price"}))
    assert imports.column("title") == ['"Retro mug', "Plain mug", 'Blue" mug']
    assert imports.column("price") == [4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("content", "titles"),
    [
        ("sku,name\r1,Cap\r2,Mug\r", ["Cap", "Mug"]),
        ("\n\nsku,name\n1,Cap\n", ["Cap"]),
        ("sku,name,,\n1,Cap,,\n2,Mug,,\n", ["Cap", "Mug"]),
        ("sep=;\nsku;name\n1;Cap\n", ["Cap"]),
    ],
)
def test_odd_files_are_read_as_they_are(content: str, titles: list[str], imports: Imports) -> None:
    imports.bring(content)
    assert imports.column("title") == titles
    assert imports.column("product_id") == list(range(1, len(titles) + 1))


def test_two_forms_of_numbers_are_refused_until_the_mapping_says_which(imports: Imports) -> None:
    content = "sku;name;price\n1;Bell;1.299\n2;Helmet;49,90\n"
    refused(
        imports, content, "line 2: '1.299' and line 3: '49,90' do not agree .* set decimal and thousands", more={"price": "price"}
    )
    imports.bring(content, mapping_of(more={"price": "price"}, decimal=",", thousands="."))
    assert imports.column("price") == [1299.0, 49.9]


def test_a_nul_is_never_cut_at(imports: Imports) -> None:
    refused(imports, b"sku,name\n1,Mu\0g\n", "line 2: name holds a NUL byte")


def test_columns_by_position_where_there_is_no_header(imports: Imports) -> None:
    content = "1,Cap,Headwear\n2,Mug,Kitchen\n"
    refused(imports, content, "has no column sku, name; it has: 1, Cap, Headwear; line 1 looks like a row .* say header: false")
    imports.bring(content, mapping_of(more={"product_id": 1, "title": 2, "master_category": 3}, header=False))
    assert imports.rows() == [
        {"product_id": 1, "title": "Cap", "master_category": "Headwear"},
        {"product_id": 2, "title": "Mug", "master_category": "Kitchen"},
    ]


def test_a_group_that_is_none_of_three_digits_is_refused_by_line(imports: Imports) -> None:
    content = 'sku,name,price\n1,Mug,"19,99"\n2,Cap,"1,299"\n'
    said: dict[str, Any] = {"more": {"price": "price"}, "thousands": ","}
    refused(imports, content, "line 2: price: '19,99' has no groups of three digits between ','", **said)
    imports.bring(content, mapping_of(**said, max_quarantined=0.5))
    assert imports.column("price") == [1299.0]


def test_two_currencies_are_refused_and_a_declared_one_is_kept(imports: Imports) -> None:
    more = {"price": "price"}
    refused(imports, CURRENCIES, r"line 2: '€ 4,50' is in EUR and line 3: '\$5.00' in USD; set currency", more=more)
    said: dict[str, Any] = {"decimal": ",", "thousands": ".", "currency": "EUR"}
    refused(imports, CURRENCIES, r"50 % .* first: line 3: price: '\$5.00' is in USD, not in EUR", more=more, **said)
    summary = imports.bring(CURRENCIES, mapping_of(more=more, **said, max_quarantined=0.5))
    assert imports.column("price") == [4.5, 1299.0]
    assert summary.currency == "EUR"
    assert [line.split(",")[0] for line in imports.listed("products-quarantine.csv")] == ["3", "5"]


def test_marks_that_say_nothing_are_missing_in_every_column(imports: Imports) -> None:
    summary = imports.bring(MISSING, mapping_of(more={"article_type": "kind", "price": "price"}))
    assert imports.column("title") == ["Mug", "Cap", "Sock", "Hat"]
    assert imports.column("article_type") == ["Mug", None, None, None]
    assert imports.column("price") == [4.5, None, None, None]
    assert summary.left_out == {"no title, description or photo": 1}
    assert imports.listed("products-quarantine.csv") == ['6,"no title, description or photo","5, NA, nan, 3"']


def test_missing_changes_the_list(imports: Imports) -> None:
    imports.bring(MISSING, mapping_of(more={"article_type": "kind"}, missing=["NULL"]))
    assert imports.column("title") == ["Mug", "Cap", "Sock", "Hat", "NA"]
    assert imports.column("article_type") == ["Mug", "N/A", "-", None, "nan"]


def test_labels_that_differ_only_in_how_they_are_typed_are_one(imports: Imports) -> None:
    summary = imports.bring(TWINS, mapping_of(more={"article_type": "kind"}))
    assert imports.column("article_type") == ["Shirt"] * 4
    assert summary.notes == ("article_type: 'shirt', 'Shirt ', 'SHIRT' became 'Shirt' (3 rows)",)


def test_fold_false_keeps_labels(imports: Imports) -> None:
    summary = imports.bring(TWINS, mapping_of(more={"article_type": "kind"}, fold=False))
    assert imports.column("article_type") == ["Shirt", "shirt", "Shirt ", "SHIRT"]
    assert summary.notes == ()


def test_dates_of_several_forms(imports: Imports) -> None:
    more = {"listed_at": "added"}
    summary = imports.bring(DATES, mapping_of(more=more, date_format=["ISO8601", "%d.%m.%Y", "unix"]))
    assert imports.column("listed_at") == [pd.Timestamp("2024-01-31", tz="UTC")] * 3 + [None]
    assert summary.dropped == {"listed_at": 1}
    assert "first: line 5: '0000-00-00' is no date of the form ISO8601 or %d.%m.%Y or unix" in summary.notes[-1]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("refuse", "line 3: listed_at: '31.01.2024' is no date of the form ISO8601"),
        ("quarantine", "75 % .* first: line 3: listed_at: '31.01.2024'"),
    ],
)
def test_dates_that_fit_no_form_are_refused_where_the_mapping_says_so(action: str, message: str, imports: Imports) -> None:
    refused(imports, DATES, message, more={"listed_at": "added"}, unreadable={"listed_at": action})


def test_a_path_is_three_levels(imports: Imports) -> None:
    rows = "1,Polo,Clothing > Tops > Polo Shirts\n2,Mug,Kitchen|Cups|Mugs\n3,Cap,Clothing > Headwear\n"
    imports.bring(f"sku,name,category\n{rows}", mapping_of(split={"category": {}}))
    levels = [[row[level] for level in ("master_category", "sub_category", "article_type")] for row in imports.rows()]
    assert levels == [["Clothing", "Tops", "Polo Shirts"], ["Kitchen", "Cups", "Mugs"], ["Clothing", "Headwear", None]]


def test_attributes_as_text(imports: Imports) -> None:
    rows = '1,Polo,"colour=red,size=M"\n2,Cap,"colour: blue; size: one"\n3,Mug,"{""glaze"": ""matt""}"\n4,Hat,a nice one\n'
    summary = imports.bring(f"sku,name,more\n{rows}", mapping_of(attribute_text="more"))
    assert imports.attributes() == [{"colour": "red", "size": "M"}, {"colour": "blue", "size": "one"}, {"glaze": "matt"}, None]
    assert summary.dropped == {"attributes": 1}
    assert summary.notes == (
        "attributes: 1 value could not be read and will be missing; "
        "first: line 5: 'a nice one' is neither 'a=b, c=d' nor a JSON object",
    )


def test_attributes_as_columns_of_names_and_values(imports: Imports) -> None:
    header = "sku,name,Attribute 1 name,Attribute 1 value(s),Attribute 2 name,Attribute 2 value(s)\n"
    pairs = {"name": "Attribute {n} name", "value": "Attribute {n} value(s)"}
    imports.bring(f'{header}1,Polo,Colour,"Red, Blue",Size,M\n2,Cap,Colour,Green,,\n', mapping_of(attribute_pairs=pairs))
    assert imports.attributes() == [{"Colour": "Red, Blue", "Size": "M"}, {"Colour": "Green"}]


def test_variants_by_handle(imports: Imports) -> None:
    for photo in ("polo-red", "polo-blue", "cap"):
        imports.photos.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(imports.photos / f"{photo}.jpg")
    rows = "polo,Polo shirt,Shirt,S,10,polo-red.jpg\npolo,,,M,11,polo-blue.jpg\npolo,,,L,12,\ncap,Sun cap,Cap,one,5,cap.jpg\n"
    said: dict[str, Any] = {
        "more": {"product_id": "handle", "title": "title", "article_type": "kind", "price": "price"},
        "variants": {"by": "handle", "options": {"Size": "option"}},
        "images": {"columns": "photo"},
    }
    summary = imports.bring(f"handle,title,kind,option,price,photo\n{rows}", mapping_of(**said))
    assert [(row["product_id"], row["title"], row["article_type"], row["price"]) for row in imports.rows()] == [
        ("polo", "Polo shirt", "Shirt", 10.0),
        ("cap", "Sun cap", "Cap", 5.0),
    ]
    assert imports.attributes() == [{"Size": "S, M, L"}, {"Size": "one"}]
    assert [(row["product_id"], row["options"], row["price"]) for row in imports.rows("variants")] == [
        ("polo", '{"Size": "S"}', 10.0),
        ("polo", '{"Size": "M"}', 11.0),
        ("polo", '{"Size": "L"}', 12.0),
        ("cap", '{"Size": "one"}', 5.0),
    ]
    assert [(row["product_id"], row["position"]) for row in imports.rows("images")] == [("polo", 0), ("polo", 1), ("cap", 0)]
    assert (summary.rows, summary.grouped, summary.variants, summary.images) == (2, 2, 4, 3)


def test_variants_by_parent(imports: Imports) -> None:
    rows = "mug,,variable,Mug,Kitchen > Mugs,\nmug-red,mug,variation,Mug red,,4\nmug-blue,mug,variation,Mug blue,,5\n"
    mapping = mapping_of(more={"price": "price"}, split={"category": {}}, variants={"parent": "parent"})
    imports.bring(f"sku,parent,type,name,category,price\n{rows}", mapping)
    levels = {"master_category": "Kitchen", "sub_category": "Mugs", "article_type": None}
    assert imports.rows() == [{"product_id": "mug", "title": "Mug", **levels, "price": 4.0}]
    assert [(row["variant_id"], row["price"]) for row in imports.rows("variants")] == [("mug-red", 4.0), ("mug-blue", 5.0)]


def test_returns_are_filtered_and_guests_are_counted(imports: Imports) -> None:
    columns = {"user_id": "customer", "item_id": "sku", "timestamp": "when"}
    mapping = mapping_of().model_validate({"table": "purchases", "columns": columns, "where": "quantity > 0"})
    summary = imports.bring(RETURNS, mapping)
    assert imports.rows("purchases") == [{"user_id": 7, "item_id": "A", "timestamp": pd.Timestamp("2024-01-01T10:00", tz="UTC")}]
    assert (summary.read, summary.rows, summary.filtered, summary.left_out) == (3, 1, 1, {"no user_id": 1})


def test_a_merchant_feed(imports: Imports) -> None:
    item = (
        "<item><g:id>1</g:id><title>Mug</title><g:price>4.50 EUR</g:price>"
        "<g:google_product_category>Home &gt; Kitchen &gt; Mugs</g:google_product_category></item>"
    )
    feed = (
        f'<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>{item}'
        "</channel></rss>"
    )
    more = {"product_id": "g:id", "title": "title", "price": "g:price"}
    summary = imports.bring(feed, mapping_of(more=more, split={"g:google_product_category": {}}), name="feed.xml")
    (row,) = imports.rows()
    assert (row["product_id"], row["title"], row["price"], summary.currency) == (1, "Mug", 4.5, "EUR")
    assert (row["master_category"], row["sub_category"], row["article_type"]) == ("Home", "Kitchen", "Mugs")


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines_with_dotted_paths(packed: bool, imports: Imports) -> None:
    lines = (
        '{"id": "1", "name": "Mug", "price": {"amount": 4.5, "currency": "EUR"}, "tags": ["blue", "retro"]}\n'
        '{"id": "2", "name": "Cap"}\n'
    )
    mapping = mapping_of(more={"product_id": "id", "price": "price.amount"}, tags={"column": "tags"})
    content, name = (gzip.compress(lines.encode()), "products.jsonl.gz") if packed else (lines.encode(), "products.jsonl")
    imports.bring(content, mapping, name=name)
    assert imports.column("price") == [4.5, None]
    assert imports.attributes() == [{"tags": "blue, retro"}, None]


def test_several_photos_of_a_product(imports: Imports) -> None:
    (imports.photos / "c" / "a").mkdir(parents=True)
    colours = {"mug-front.jpg": "red", "mug-side.jpg": "green", "c/a/cap.jpg": "blue"}
    colours[unicodedata.normalize("NFD", "Café.jpg")] = "white"
    for name, colour in colours.items():
        Image.new("RGB", (8, 8), colour).save(imports.photos / name)
    rows = '1,Mug,"mug-front.jpg, mug-side.jpg"\n2,Cap,/c/a/cap.JPG\n3,Café cup,Café.jpg\n4,Hat,hat.jpg\n'
    summary = imports.bring(f"sku,name,photos\n{rows}", mapping_of(images={"columns": "photos"}))
    assert [(row["product_id"], row["position"]) for row in imports.rows("images")] == [(1, 0), (1, 1), (2, 0), (3, 0)]
    assert (summary.images, summary.missing_images, summary.unreadable_images) == (4, 1, 1)
    assert imports.listed("photos.csv") == ["4,hat.jpg,no such file below the image folder"]
    store = Catalogue.open(imports.out).images
    assert decode(store.get(1) or b"")[0, 0].argmax() == 0
    assert decode(store.get(2) or b"")[0, 0].argmax() == 2


def test_grey_of_16_bits_and_a_large_photo(imports: Imports) -> None:
    imports.photos.mkdir()
    Image.new("I;16", (40, 20), 40_000).save(imports.photos / "1.png")
    Image.new("RGB", (6000, 4500), (200, 30, 30)).save(imports.photos / "2.jpg", quality=30)
    (imports.photos / "3.jpg").write_bytes(b"no photo")
    summary = imports.bring("sku,name\n1,Grey\n2,Large\n3,None\n")
    grey, large = (decode(row["jpeg"]) for row in imports.rows("images"))
    assert abs(int(grey[10, 20, 0]) - 40_000 // 257) <= 2
    assert large.shape == (384, 512, 3)
    assert abs(int(large[100, 100, 0]) - 200) <= 4
    assert summary.unreadable_images == 1
    (line,) = imports.listed("photos.csv")
    assert re.match(r'3,3,"?image of 8 bytes', line), line
