"""Mappings that are proposed: for well-known exports, for unknown files, and for other tables."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from PIL import Image
from spreadsheets import number, text, write_xlsx

from catalog.errors import CatalogueError
from catalog.importing.guess import guess
from catalog.importing.mapping import ImportMapping, ReadingMapping
from catalog.importing.run import import_table

SHOPIFY = """\
Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Compare At Price,Image Src,Image Position,SEO Title,Status
polo,Polo shirt,<p>Soft</p>,Acme,Apparel & Accessories > Clothing > Shirts,Shirts,"summer, sale",true,Size,S,P-S,19.90,,https://cdn.shop/polo-1.jpg,1,,active
polo,,,,,,,,,M,P-M,21.90,,https://cdn.shop/polo-2.jpg,2,,
cap,Sun cap,<p>Shades</p>,Acme,Apparel & Accessories > Clothing Accessories > Hats,Caps,,true,Title,Default Title,C-1,9.50,12.00,https://cdn.shop/cap.jpg,1,,active
"""  # noqa: E501 (as it is exported)

WOOCOMMERCE = """\
ID,Type,SKU,Name,Published,Short description,Description,Sale price,Regular price,Categories,Tags,Images,Parent,"Attribute 1 name","Attribute 1 value(s)","Attribute 1 visible"
11,variable,mug,Mug,1,Short,Holds tea,,,"Kitchen, Kitchen > Mugs",blue,"https://s.de/a.jpg, https://s.de/b.jpg",,Colour,"Red, Blue",1
12,variation,mug-red,Mug - Red,1,,,3.50,4.00,,,,mug,Colour,Red,
13,variation,mug-blue,Mug - Blue,1,,,,5.00,,,,mug,Colour,Blue,
14,simple,cap,Cap,1,Short,Shades eyes,,9.00,"Clothing > Hats",,https://s.de/c.jpg,,,,
"""  # noqa: E501

MERCHANT_TSV = (
    "id\ttitle\tlink\timage link\tadditional image link\tprice\tsale price\tproduct type\tbrand\tcolor\tgender\tsize\n"
    "A1\tMug\thttps://s.de/1\thttps://s.de/1.jpg\t\t4.50 EUR\t\tKitchen > Mugs\tAcme\tBlue\t\tM\n"
    "A2\tCap\thttps://s.de/2\thttps://s.de/2.jpg\thttps://s.de/3.jpg\t9.00 EUR\t8.00 EUR\tClothing > Hats\tAcme\tRed\tmale\tM\n"
)

MERCHANT_XML = """<?xml version="1.0"?><rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>
<item><g:id>A1</g:id><g:title>Mug</g:title><g:link>https://s.de/1</g:link><g:image_link>https://s.de/1.jpg</g:image_link>
<g:price>4.50 EUR</g:price><g:product_type>Kitchen &gt; Mugs</g:product_type></item>
<item><g:id>A2</g:id><g:title>Cap</g:title><g:link>https://s.de/2</g:link><g:image_link>https://s.de/2.jpg</g:image_link>
<g:price>9.00 EUR</g:price><g:product_type>Clothing &gt; Hats</g:product_type></item></channel></rss>"""

PRESTASHOP = """\
Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Tax rules ID;Reference #;Manufacturer;Summary;Description;Tags (x,y,z...);Image URLs (x,y,z...)
1;1;Tasse;Home,Kitchen,Mugs;4,50;1;T-1;Acme;Kurz;Lang;rot,neu;https://s.fr/1.jpg,https://s.fr/2.jpg
2;1;Kappe;Home,Clothes,Hats;9,00;1;K-1;Acme;Kurz;Lang;;https://s.fr/3.jpg
"""  # noqa: E501

MAGENTO = """\
sku,store_view_code,attribute_set_code,product_type,categories,name,description,price,special_price,visibility,created_at,additional_attributes,base_image,additional_images
24-MB01,,Bag,simple,"Default Category/Gear,Default Category/Gear/Bags",Duffle,<p>Holds</p>,34.00,,"Catalog, Search","6/15/21, 7:14 AM","activity=Gym,material=Nylon",/m/b/mb01.jpg,"/m/b/mb02.jpg,/m/b/mb03.jpg"
24-MB02,,Bag,simple,"Default Category/Gear/Bags",Pack,<p>Carries</p>,59.00,45.00,"Catalog, Search","6/16/21, 7:14 AM","activity=Hike",/m/b/mb04.jpg,
"""  # noqa: E501

ETSY = """\
TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,TAGS,MATERIALS,IMAGE1,IMAGE2,VARIATION 1 TYPE,VARIATION 1 NAME,VARIATION 1 VALUES,SKU
Wool hat,Warm and soft,25.00,GBP,3,"wool,winter",Wool,https://i.etsy/1.jpg,https://i.etsy/2.jpg,Colour,Colour,"Red,Blue",
Oak bowl,Turned by hand,40.00,GBP,1,"wood",Oak,https://i.etsy/3.jpg,,,,,
"""  # noqa: E501


def propose(folder: Path, content: str, name: str = "export.csv", **reading: Any) -> tuple[ImportMapping, Path, str]:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    proposed = guess(path, ReadingMapping(**reading))
    return ImportMapping.model_validate(yaml.safe_load(proposed)), path, proposed


def imported(folder: Path, mapping: ImportMapping, path: Path) -> pd.DataFrame:
    import_table(mapping, path, out=folder / "catalogue")
    table: pd.DataFrame = pd.read_parquet(folder / "catalogue" / f"{mapping.table}.parquet")
    return table


def test_shopify(tmp_path: Path) -> None:
    mapping, path, proposed = propose(tmp_path, SHOPIFY)
    assert "It looks like a product export of Shopify." in proposed
    assert mapping.images.columns == ("Image Src",)
    assert mapping.variants is not None
    assert (mapping.variants.by, mapping.variants.id) == ("Handle", "Variant SKU")
    products = imported(tmp_path, mapping, path).set_index("product_id")
    assert products.loc["polo", ["title", "description", "brand", "article_type", "price"]].tolist() == [
        "Polo shirt", "<p>Soft</p>", "Acme", "Shirts", 19.9
    ]  # fmt: skip
    assert products.loc["cap", ["master_category", "sub_category"]].tolist() == ["Apparel & Accessories", "Clothing Accessories"]
    assert json.loads(products.loc["polo", "attributes"])["tags"] == "summer, sale"
    variants = pd.read_parquet(tmp_path / "catalogue" / "variants.parquet").set_index("variant_id")
    assert json.loads(variants.loc["P-M", "options"]) == {"Size": "M"}
    assert variants.loc["P-M", "price"] == 21.9


def test_woocommerce(tmp_path: Path) -> None:
    mapping, path, proposed = propose(tmp_path, WOOCOMMERCE)
    assert "WooCommerce" in proposed
    assert mapping.images.columns == ("Images",)
    products = imported(tmp_path, mapping, path).set_index("product_id")
    assert sorted(products.index) == ["cap", "mug"]
    assert products.loc["mug", ["title", "sub_category", "article_type"]].tolist()[::2] == ["Mug", "Mugs"]
    assert json.loads(products.loc["mug", "attributes"])["Colour"] == "Red, Blue"
    assert products.loc["cap", "price"] == 9.0
    variants = pd.read_parquet(tmp_path / "catalogue" / "variants.parquet")
    assert set(variants["variant_id"]) == {"mug-red", "mug-blue"}


@pytest.mark.parametrize(("content", "name"), [(MERCHANT_TSV, "feed.tsv"), (MERCHANT_XML, "feed.xml")])
def test_merchant_feeds(tmp_path: Path, content: str, name: str) -> None:
    mapping, path, proposed = propose(tmp_path, content, name)
    assert "Google Merchant Center" in proposed
    products = imported(tmp_path, mapping, path).set_index("product_id")
    assert products.loc["A1", ["title", "price"]].tolist() == ["Mug", 4.5]
    assert products.loc["A2", ["master_category", "sub_category"]].tolist() == ["Clothing", "Hats"]
    assert products.loc["A2", "article_type"] == "Hats"


def test_prestashop(tmp_path: Path) -> None:
    mapping, path, proposed = propose(tmp_path, PRESTASHOP)
    assert "PrestaShop" in proposed
    assert mapping.decimal == ","
    assert mapping.images.columns == ("Image URLs (x,y,z...)",)
    products = imported(tmp_path, mapping, path).set_index("product_id")
    assert products.loc[1, ["title", "description", "brand", "price"]].tolist() == ["Tasse", "Lang", "Acme", 4.5]
    assert products.loc[2, ["master_category", "sub_category", "article_type"]].tolist() == ["Home", "Clothes", "Hats"]


def test_magento(tmp_path: Path) -> None:
    mapping, path, proposed = propose(tmp_path, MAGENTO)
    assert "Magento 2" in proposed
    assert mapping.images.columns == ("base_image", "additional_images")
    products = imported(tmp_path, mapping, path).set_index("product_id")
    assert products.loc["24-MB01", ["master_category", "sub_category", "article_type"]].tolist() == ["Gear", "Bags", "Bags"]
    assert json.loads(products.loc["24-MB01", "attributes"]) == {"activity": "Gym", "material": "Nylon"}
    assert products.loc["24-MB02", ["price", "discounted_price"]].tolist() == [59.0, 45.0]
    assert products.loc["24-MB01", "listed_at"] == pd.Timestamp("2021-06-15 07:14", tz="UTC")


def test_etsy(tmp_path: Path) -> None:
    mapping, path, proposed = propose(tmp_path, ETSY)
    assert "Etsy" in proposed
    assert (mapping.ids, mapping.currency, mapping.images.columns) == ("counted", "GBP", ("IMAGE1", "IMAGE2"))
    products = imported(tmp_path, mapping, path)
    assert products["title"].tolist() == ["Wool hat", "Oak bowl"]
    assert json.loads(products["attributes"][0]) == {"MATERIALS": "Wool", "Colour": "Red,Blue", "tags": "wool, winter"}


def _file(folder: Path, header: list[str], rows: list[list[Any]], separator: str = ";") -> tuple[ImportMapping, Path, str]:
    path = folder / "shop.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows([header, *rows])
    proposed = guess(path, ReadingMapping())
    return ImportMapping.model_validate(yaml.safe_load(proposed)), path, proposed


@pytest.mark.parametrize(
    "header",
    [
        "Artikelnummer|Bezeichnung|Beschreibung|Marke|Kategorie|Preis|Angebotspreis|Farbe|Bild|Erstellt am",
        "Item No.|Product Name|Long Description|Manufacturer|Category|Price (EUR)|Sale Price|Color|Image URL|Date Added",
        "Código|Nombre|Descripción|Marca|Categoría|Precio|Precio oferta|Color|Imagen|Fecha de alta",
        "Référence|Nom du produit|Descriptif|Marque|Catégorie|Prix TTC|Prix promo|Couleur|Photo|Date d'ajout",
        "Артикул|Наименование|Описание|Бренд|Категория|Цена, руб.|Цена со скидкой|Цвет|Фото|Дата добавления",
        "Código do produto|Nome|Descrição|Fabricante|Categoria|Preço|Preço promocional|Cor|Foto|Data de cadastro",
    ],
    ids=["German", "English", "Spanish", "French", "Russian", "Portuguese"],
)
def test_headers_in_several_languages(tmp_path: Path, header: str) -> None:
    names, brands, paths = header.split("|"), ["Acme", "Umbra"], ["Kitchen > Mugs", "Bath > Cups"]
    rows = [
        [f"A-{n}", f"Mug number {n}", f"It holds {n} cups of tea, and more. " * 3, brands[n % 2], paths[n % 2], f"{10 + n},50",
         f"{8 + n},50", ["red", "blue"][n % 2], f"a-{n}.JPG", f"{n % 28 + 1:02d}.01.2024"]
        for n in range(40)
    ]  # fmt: skip
    mapping, path, _ = _file(tmp_path, names, rows)
    ours = ["product_id", "title", "description", "brand", None, "price", "discounted_price", "base_colour", None, "listed_at"]
    assert mapping.columns == {name: theirs for name, theirs in zip(ours, names, strict=True) if name is not None}
    assert list(mapping.split) == [names[4]]
    assert mapping.images.columns == (names[8],)
    assert (mapping.decimal, mapping.date_format) == (",", ("%d.%m.%Y",))
    products = imported(tmp_path, mapping, path)
    assert products["price"].tolist()[:2] == [10.5, 11.5]
    assert products["article_type"].tolist()[:2] == ["Mugs", "Cups"]
    assert products["listed_at"][27] == pd.Timestamp("2024-01-28", tz="UTC")


def test_cells_that_are_json_lists(tmp_path: Path) -> None:
    rows = [
        [
            f"c2{n}",
            f"Thing {n}",
            json.dumps([f"Clothing >> Tops >> {kind}"]),
            json.dumps([f"http://s/{n}.jpg", f"http://s/{n}b.jpg"]),
        ]
        for n, kind in enumerate(["Shirt, long", "Polo"] * 5)
    ]
    mapping, path, _ = _file(tmp_path, ["uniq_id", "product_name", "product_category_tree", "image"], rows, ",")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("0.jpg", "0b.jpg", "1.jpg"):
        Image.new("RGB", (8, 8), "red").save(photos / name)
    import_table(mapping, path, photos, out=tmp_path / "catalogue")
    products = pd.read_parquet(tmp_path / "catalogue" / "products.parquet")
    levels = products[["master_category", "sub_category", "article_type"]]
    assert levels[:2].values.tolist() == [["Clothing", "Tops", "Shirt, long"], ["Clothing", "Tops", "Polo"]]
    images = pd.read_parquet(tmp_path / "catalogue" / "images.parquet")
    assert list(zip(images["product_id"], images["position"], strict=True)) == [("c20", 0), ("c20", 1), ("c21", 0)]


def test_levels_in_columns_of_their_own_go_coarse_to_fine(tmp_path: Path) -> None:
    rows = [[n, f"Thing {n}", ["A", "B"][n % 2], f"type {n % 8}", f"sub {n % 4}"] for n in range(80)]
    mapping, _, _ = _file(tmp_path, ["id", "productDisplayName", "masterCategory", "articleType", "subCategory"], rows)
    assert mapping.columns == {
        "product_id": "id", "title": "productDisplayName", "master_category": "masterCategory", "sub_category": "subCategory",
        "article_type": "articleType",
    }  # fmt: skip


def test_a_file_without_header_is_told_by_its_values(tmp_path: Path) -> None:
    rows = [[f"{n}", f"A fine thing with the number {n}", ["Mugs", "Hats", "Socks"][n % 3], f"photos/{n}.jpg"] for n in range(30)]
    mapping, path, _ = _file(tmp_path, ["1000", "A finer thing", "Mugs", "photos/1000.jpg"], rows)
    assert not mapping.header
    assert mapping.columns == {"product_id": "1", "title": "2", "article_type": "3"}
    assert mapping.images.columns == ("4",)
    assert len(imported(tmp_path, mapping, path)) == 31


def test_the_name_of_a_photo_is_an_id_and_no_title(tmp_path: Path) -> None:
    rows = [[f"Mug_{n:03}", f"train/Kitchen/Mug_{n:03}.JPG", ["Mug", "Cup"][n % 2], "train"] for n in range(20)]
    mapping, _, _ = _file(tmp_path, ["name", "path", "class", "subset"], rows)
    assert mapping.columns == {"product_id": "name", "article_type": "class", "split": "subset"}
    assert mapping.images.columns == ("path",)


def test_numbers_that_can_be_read_in_two_ways_are_a_question(tmp_path: Path) -> None:
    _, _, proposed = _file(tmp_path, ["sku", "name", "price"], [[1, "Bell", "1.299"], [2, "Helmet", "2.499"]])
    assert (
        '# "1.299" may be a number of thousands or a fraction; say one of these:\n# thousands: "."\n# decimal: "."\n' in proposed
    )
    _, _, proposed = _file(tmp_path, ["sku", "name", "price"], [[1, "Bell", "1.299"], [2, "Helmet", "49,90"]])
    assert '# Is the point in "1.299" between thousands?' in proposed
    undecided, _, proposed = _file(tmp_path, ["sku", "name", "price"], [[1, "Bell", "19,99"], [2, "Helmet", "1,299"]])
    assert undecided.decimal is None
    assert '# "19,99" has a fraction; "1,299" has one too, or is a number of thousands.' in proposed
    mapping, _, _ = _file(tmp_path, ["sku", "name", "price"], [[1, "Bell", "1.299,00"], [2, "Helmet", "49,90"]])
    assert (mapping.decimal, mapping.thousands) == (",", ".")


def test_events(tmp_path: Path) -> None:
    rows = [[1433221332117 + n, n % 5, ["view", "addtocart", "transaction"][n % 3], n % 7, ""] for n in range(30)]
    mapping, path, _ = _file(tmp_path, ["timestamp", "visitorid", "event", "itemid", "transactionid"], rows, ",")
    assert mapping.table == "events"
    assert mapping.columns == {"user_id": "visitorid", "item_id": "itemid", "timestamp": "timestamp", "kind": "event"}
    events = imported(tmp_path, mapping, path)
    assert events["kind"].tolist()[:3] == ["view", "cart", "purchase"]
    assert events["timestamp"][0].year == 2015


def test_purchases_without_returns(tmp_path: Path) -> None:
    rows = [
        [f"5{n}", f"P{n % 4}", "Mug", [2, -1][n % 9 == 8], f"{n % 12 + 1}/1/2010 8:26", 2.55, 17850 + n % 5] for n in range(30)
    ]
    header = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    mapping, path, proposed = _file(tmp_path, header, rows, ",")
    assert mapping.table == "purchases"
    assert mapping.columns == {"user_id": "CustomerID", "item_id": "StockCode", "timestamp": "InvoiceDate"}
    assert mapping.where == ("Quantity > 0",)
    assert "can be read as" in proposed
    assert len(imported(tmp_path, mapping, path)) == 27


def test_reviews(tmp_path: Path) -> None:
    rows = [
        [n, n % 3, 30 + n, f"Title {n}", f"I liked it {n} times, and more than that", n % 5 + 1, n % 2, "Dresses"]
        for n in range(20)
    ]
    header = ["", "Clothing ID", "Age", "Title", "Review Text", "Rating", "Recommended IND", "Class Name"]
    mapping, path, _ = _file(tmp_path, header, rows, ",")
    assert mapping.table == "reviews"
    assert mapping.columns | {"review_id": "?"} == {
        "review": "Review Text", "rating": "Rating", "title": "Title", "recommended": "Recommended IND", "review_id": "?"
    }  # fmt: skip
    assert len(imported(tmp_path, mapping, path)) == 20


def test_a_folder_of_photos_with_a_published_split(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for split in ("train", "val", "test"):
        for kind in ("Fruit/Apple", "Fruit/Pear"):
            (photos / split / kind).mkdir(parents=True)
            Image.new("RGB", (8, 8), "red").save(photos / split / kind / f"{split}_{kind[-2:]}.jpg")
    mapping = ImportMapping.model_validate(yaml.safe_load(guess(photos, ReadingMapping())))
    products = imported(tmp_path, mapping, photos)
    assert products["split"].value_counts().to_dict() == {"train": 2, "validation": 2, "test": 2}
    assert set(products["article_type"]) == {"Apple", "Pear"}
    assert len(pd.read_parquet(tmp_path / "catalogue" / "images.parquet")) == 6


def test_a_spreadsheet_and_json_lines(tmp_path: Path) -> None:
    rows = {
        1: [text("A", "SKU"), text("B", "Name")],
        2: [number("A", "1"), text("B", "Cap")],
        3: [number("A", "2"), text("B", "Mug")],
    }
    book = write_xlsx(tmp_path / "book.xlsx", {"S": rows})
    assert yaml.safe_load(guess(book, ReadingMapping()))["columns"] == {"product_id": "SKU", "title": "Name"}
    mapping, _, _ = propose(
        tmp_path, '{"id": "a", "name": "Mug", "price": {"amount": 4.50}}\n{"id": "b", "name": "Cap"}\n', "products.jsonl"
    )
    assert mapping.columns == {"product_id": "id", "title": "name", "price": "price.amount"}


def test_what_was_seen_and_what_is_left_out_stands_in_comments(tmp_path: Path) -> None:
    content = "sku;name;weight;x: y\n1;Größe #1;2;a\x1bb\n2;Mug;3;\n3;short\n"
    path = tmp_path / "shop.csv"
    path.write_bytes(content.encode("cp1252"))
    proposed = guess(path, ReadingMapping())
    assert "# Found: encoding cp1252 found" in proposed
    assert "# Found: separator semicolon found" in proposed
    assert "the first: line 4, 2 values where the header names 4" in proposed
    assert '#   weight: full, all different: "2", "3"' in proposed
    assert ImportMapping.model_validate(yaml.safe_load(proposed)).columns == {"product_id": "sku", "title": "name"}


def test_what_was_said_about_reading_is_kept(tmp_path: Path) -> None:
    mapping, _, _ = propose(tmp_path, "Export\nsku!name\n1!Mug\n2!Cap\n", skip=1, separator="!")
    assert (mapping.skip, mapping.separator) == (1, "!")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="has no rows"):
        propose(tmp_path, "sku,name\n")


def test_names_with_odd_characters_come_back(tmp_path: Path) -> None:
    mapping, _, _ = propose(
        tmp_path, "sku,na\u00a0me\u200b: #1,\U0001f600 'x',{y}\n1,Mug,red,S\n2,Cap,red,M\n3,Hat,blue,M\n4,Sock,blue,S\n"
    )
    assert mapping.columns["product_id"] == "sku"
    assert set(mapping.attributes) | set(mapping.columns.values()) >= {"na me\u200b: #1", "\U0001f600 'x'", "{y}"}


def test_no_class_is_taken_from_values_that_all_differ_or_from_what_a_name_says_otherwise(tmp_path: Path) -> None:
    rows = [
        ["A1", "Tea", "https://s.ru/1", "1 марта 2024", "wahr", "Active"],
        ["A2", "Cup", "https://s.ru/2", "2 марта 2024", "falsch", "Draft"],
    ]
    mapping, _, _ = _file(tmp_path, ["sku", "name", "url", "added", "Lagernd", "Status"], rows)
    assert set(mapping.columns) == {"product_id", "title"}
    mapping, _, _ = _file(tmp_path, ["sku", "name", "url", "added", "Lagernd", "Status"], [*rows, ["A3", *rows[0][1:]]])
    assert set(mapping.columns) == {"product_id", "title"}
    rows = [[f"A{n}", f"Mug_{n}", "parent" if n % 3 == 0 else "child"] for n in range(6)]
    assert set(_file(tmp_path, ["item_sku", "item_name", "parent_child"], rows)[0].columns) == {"product_id", "title"}


def test_a_column_of_titles_is_no_id(tmp_path: Path) -> None:
    mapping, _, _ = _file(tmp_path, ["name", "price"], [["Tea", 5], ["Cup", 6]])
    assert (mapping.columns, mapping.ids) == ({"title": "name", "price": "price"}, "counted")


def test_an_id_that_a_few_rows_lack_is_the_id(tmp_path: Path) -> None:
    rows = [*([n, f"Mug_{n}", 5] for n in range(30)), ["", "Total", 150]]
    mapping, path, proposed = _file(tmp_path, ["Article no", "Name", "Price"], rows)
    assert mapping.columns["product_id"] == "Article no"
    assert "rows without one do not come in" in proposed
    assert len(imported(tmp_path, mapping, path)) == 30


@pytest.mark.parametrize("name", ["price per kg", "Shipping price", "Purchase price", "old_price", "cost"])
def test_what_a_product_is_not_sold_for_is_no_price(tmp_path: Path, name: str) -> None:
    mapping, _, _ = _file(tmp_path, ["sku", "name", name], [["A1", "Tea", "5.00"], ["A2", "Cup", "6.00"]])
    assert "price" not in mapping.columns


def test_prices_in_cents_are_told_and_left_out(tmp_path: Path) -> None:
    mapping, _, proposed = _file(tmp_path, ["sku", "name", "price_cents"], [["A1", "Tea", "1999"], ["A2", "Cup", "500"]])
    assert "price" not in mapping.columns
    assert '# price_cents is left out: by its name it is in hundredths ("1999"); divide it in the file first.' in proposed


def test_a_column_of_currencies_says_that_of_the_prices(tmp_path: Path) -> None:
    header = ["sku", "name", "price", "currency"]
    mapping, _, _ = _file(tmp_path, header, [["A1", "Tea", 5, "EUR"], ["A2", "Cup", 6, "EUR"]])
    assert (mapping.currency, mapping.where) == ("EUR", ())
    mapping, path, proposed = _file(
        tmp_path, header, [["A1", "Tea", 5, "EUR"], ["A2", "Cup", 6, "EUR"], ["A3", "Pot", 700, "JPY"]]
    )
    assert (mapping.currency, mapping.where) == ("EUR", ("currency = EUR",))
    assert "prices in JPY would be mixed with those in EUR" in proposed
    assert imported(tmp_path, mapping, path)["price"].tolist() == [5, 6]


def test_thousands_between_commas_are_a_question_beside_a_fraction_after_a_point(tmp_path: Path) -> None:
    mapping, path, proposed = _file(tmp_path, ["sku", "name", "price"], [["A1", "Bell", "$1,299"], ["A2", "Lamp", "$12.50"]])
    assert mapping.decimal == "."
    assert '# Is the comma in "$1,299" between thousands?' in proposed
    assert imported(tmp_path, mapping, path)["price"].tolist() == [1299, 12.5]


@pytest.mark.parametrize(
    ("dates", "form"),
    [
        (["01.03.24", "15.12.23"], "%d.%m.%y"),
        (["3/1/24", "12/31/23"], "%m/%d/%y"),
        (["03/01/2024 02:30 PM", "12/31/2023 11:00 AM"], "%m/%d/%Y %I:%M %p"),
    ],
)
def test_forms_of_dates(tmp_path: Path, dates: list[str], form: str) -> None:
    mapping, _, _ = _file(tmp_path, ["sku", "name", "added"], [["A1", "Tea", dates[0]], ["A2", "Cup", dates[1]]])
    assert (mapping.columns["listed_at"], mapping.date_format, mapping.split) == ("added", (form,), {})


def test_paths_with_html_entities_and_several_paths_between_semicolons(tmp_path: Path) -> None:
    paths = ["Home &amp; Garden &gt; Pots", "Home &amp; Garden &gt; Cups", "Food &gt; Tea"]
    mapping, path, _ = _file(tmp_path, ["sku", "name", "Category"], [[n, f"Mug_{n}", text] for n, text in enumerate(paths)])
    assert imported(tmp_path, mapping, path)["sub_category"].tolist() == ["Home & Garden", "Home & Garden", "Food"]
    paths = ["Food/Drinks;Food", "Home/Kitchen;Sale", "Home/Kitchen"]
    mapping, _, _ = _file(tmp_path, ["sku", "name", "Category"], [[n, f"Mug_{n}", text] for n, text in enumerate(paths)])
    assert (mapping.split["Category"].by, mapping.split["Category"].alternatives) == (("/",), ";")


def test_events_of_few_rows_are_no_purchases(tmp_path: Path) -> None:
    kinds = ["view", "add_to_cart", "wishlist", "purchase", "view"]
    rows = [[1709251200 + n, f"v{n % 2}", kind, f"A{n % 2}"] for n, kind in enumerate(kinds)]
    mapping, _, _ = _file(tmp_path, ["ts", "visitor", "action", "sku"], rows)
    assert (mapping.table, mapping.columns["kind"]) == ("events", "action")


def test_orders_by_item_sku_are_purchases_and_ratings_with_a_few_odd_ones_reviews(tmp_path: Path) -> None:
    rows = [[n, f"c{n // 2}", f"A{n % 2}", -1 if n == 3 else 1, f"2024-03-0{n + 1}"] for n in range(6)]
    mapping, _, _ = _file(tmp_path, ["Order ID", "Customer", "Item SKU", "Qty", "Order Date"], rows)
    assert (mapping.table, mapping.columns["item_id"], mapping.where) == ("purchases", "Item SKU", ("Qty > 0",))
    text = "I love this tea very much indeed"
    rows = [[f"r{n}", "A1", rating, text] for n, rating in enumerate(["5", "4", "5/5", "3", "1"])]
    mapping, _, _ = _file(tmp_path, ["review_id", "product_id", "rating", "text"], rows)
    assert mapping.table == "reviews"


def test_rows_of_magento_that_say_a_product_again_in_a_language_are_left_out(tmp_path: Path) -> None:
    german = "24-MB01,de,,,,Tasche,<p>Hält</p>,,,,,,,\n"
    mapping, path, _ = propose(tmp_path, MAGENTO + german)
    assert (mapping.columns["product_id"], mapping.where) == ("sku", ("store_view_code is missing",))
    assert imported(tmp_path, mapping, path)["title"].tolist() == ["Duffle", "Pack"]


def test_a_price_of_which_some_are_words_is_a_price_and_told(tmp_path: Path) -> None:
    rows = [[f"A{n}", f"Mug_{n}", "ask" if n % 3 == 0 else "5.00"] for n in range(30)]
    mapping, path, proposed = _file(tmp_path, ["sku", "name", "price"], rows)
    assert mapping.columns["price"] == "price"
    assert "# 33% of price are no numbers, such as 'ask'; unreadable: {price: drop} keeps these rows." in proposed
    with pytest.raises(CatalogueError, match="33 % of the rows do not fit"):
        imported(tmp_path, mapping, path)


def test_pairs_between_colons_are_attributes(tmp_path: Path) -> None:
    rows = [["A1", "Tea", "Origin:India;Weight:100 g"], ["A2", "Cup", "Material:Clay;Volume:0.3 l;Organic:no"]]
    mapping, _, _ = _file(tmp_path, ["sku", "name", "specs"], rows)
    assert mapping.attribute_text == ("specs",)
