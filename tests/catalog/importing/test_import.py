"""An import as a whole: types, ids, splits, values, what is left out, and that nothing is half written."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.images import decode
from catalog.importing.mapping import ImportMapping
from catalog.importing.run import import_table
from catalog.schema import PRODUCT_COLUMNS
from catalog.write import write_table
from configs.errors import ConfigError
from configs.load import load, validate
from tests.catalog.importing.bringing import Imports, mapping_of

HEADER = "id;naam;prijs;datum;Stof;Foto\n"
ROWS = "1;Blauw hemd;1.299,50;03-02-2024;Katoen;a/1.png\n2;Rode jurk;;;;b.jpg\n3;Sjaal;12;01-01-2024;Wol;none.jpg\n"
DUTCH = ImportMapping.model_validate(
    {
        "columns": {"product_id": "id", "title": "naam", "price": "prijs", "listed_at": "datum"},
        "constants": {"usage": "Casual", "year": "2024"},
        "attributes": ["Stof"],
        "images": {"file": "{Foto}", "max_side": 50},
        "decimal": ",",
        "thousands": ".",
        "date_format": "%d-%m-%Y",
    }
)


@pytest.fixture
def photos(imports: Imports) -> Path:
    (imports.photos / "a").mkdir(parents=True)
    Image.new("RGBA", (200, 100), (0, 0, 255, 255)).save(imports.photos / "a" / "1.png")
    (imports.photos / "b.jpg").write_bytes(b"not a photo")
    return imports.photos


def events(**said: Any) -> ImportMapping:
    columns = {"user_id": "user", "item_id": "item", "kind": "what", "timestamp": "when"}
    return ImportMapping.model_validate({"table": "events", "columns": columns, **said})


def test_columns_types_attributes_and_photos_arrive(imports: Imports, photos: Path) -> None:
    summary = imports.bring("\ufeff" + HEADER + ROWS, DUTCH)
    assert (summary.rows, summary.images, summary.missing_images, summary.unreadable_images) == (3, 1, 2, 2)
    assert [line.split(",")[:2] for line in imports.listed("photos.csv")] == [["2", "b.jpg"], ["3", "none.jpg"]]
    catalogue = Catalogue.open(imports.out)
    assert catalogue.tables() == ["products", "images"]
    products = catalogue.products()
    assert products["product_id"].tolist() == [1, 2, 3]
    assert products["price"].fillna(-1).tolist() == [1299.5, -1, 12]
    assert products["listed_at"][0] == pd.Timestamp("2024-02-03", tz="UTC")
    assert products["usage"].unique().tolist() == ["Casual"]
    assert products["year"].tolist() == [2024] * 3
    assert imports.attributes() == [{"Stof": "Katoen"}, None, {"Stof": "Wol"}]
    pixels = decode(catalogue.images.get(1) or b"")
    assert pixels.shape == (25, 50, 3)
    assert pixels[10, 10, 2] > 240


def test_the_types_are_those_of_every_catalogue(imports: Imports, tmp_path: Path) -> None:
    columns = {column: column for column in PRODUCT_COLUMNS}
    row = "5,t,d,b,g,a,m,s,k,c,summer,2024,u,1.5,1.25,a=b,2024-01-01,train"
    imports.bring(f"{','.join(columns)}\n{row}\n", mapping_of(more=columns))
    write_table(tmp_path, "products", Catalogue.open(imports.out).products())
    written, usual = (pq.read_schema(folder / "products.parquet") for folder in (imports.out, tmp_path))
    assert written.equals(usual, check_metadata=False)


def test_the_record_says_what_was_done(imports: Imports, photos: Path) -> None:
    summary = imports.bring(HEADER + ROWS, DUTCH)
    record = json.loads((imports.out / "import" / "products.json").read_text())
    assert record["summary"] == summary.model_dump(mode="json")
    assert ImportMapping.model_validate(record["mapping"]) == DUTCH
    assert summary.files == {
        "record": str(imports.out / "import" / "products.json"),
        "photos": str(imports.out / "import" / "photos.csv"),
    }


def test_ids_are_integers_only_where_all_are_plain(imports: Imports) -> None:
    mapping = ImportMapping(table="reviews", columns={"review_id": "key", "review": "text", "rating": "stars"})
    summary = imports.bring('key,text,stars\n007,"fine,\nreally",4.0\nx1,poor,\n', mapping)
    assert summary.rows == 2
    assert imports.rows("reviews") == [
        {"review_id": "007", "review": "fine,\nreally", "rating": 4},
        {"review_id": "x1", "review": "poor", "rating": None},
    ]


def test_whole_numbers_are_whole(imports: Imports) -> None:
    mapping = ImportMapping(
        table="reviews", columns={"review_id": "key", "review": "text", "rating": "stars"}, max_quarantined=0.9
    )
    summary = imports.bring("key,text,stars\n1,a,4.0\n2,b,4.5\n3,c,1e30\n4,d,good\n", mapping)
    assert imports.column("rating", "reviews") == [4]
    assert summary.quarantined == {"rating cannot be read": 3}
    assert imports.listed("reviews-quarantine.csv")[0].startswith("3,rating: '4.5' is no whole number")


def test_repeated_and_missing_ids_are_named(imports: Imports) -> None:
    summary = imports.bring("sku,name\n1,a\n1,b\n,c\n 2 ,d\n", mapping_of(max_quarantined=0.5))
    assert imports.rows() == [{"product_id": 1, "title": "a"}, {"product_id": 2, "title": "d"}]
    assert summary.quarantined == {"id is repeated": 1, "no product_id": 1}
    assert imports.listed("products-quarantine.csv") == [
        "3,product_id '1' is that of line 2 too,\"1, b\"",
        '4,no product_id,", c"',
    ]


def test_the_first_of_a_repeated_id_that_fits_comes_in(imports: Imports) -> None:
    mapping = mapping_of(more={"price": "price"}, max_quarantined=0.7)
    imports.bring("sku,name,price\n1,a,cheap\n1,b,4\n1,c,5\n", mapping)
    assert imports.column("title") == ["b"]
    assert "is that of line 3 too" in imports.listed("products-quarantine.csv")[1]


@pytest.mark.parametrize(("ids", "expected"), [("counted", [1, 2]), (["colour", "size"], ["red-S", "red-M"]), ("colour", None)])
def test_ids_where_no_column_has_them(ids: Any, expected: list[Any] | None, imports: Imports) -> None:
    mapping = ImportMapping.model_validate({"columns": {"title": "name"}, "ids": ids})
    content = "name,colour,size\na,red,S\nb,red,M\n"
    if expected is None:
        with pytest.raises(CatalogueError, match=r"50 % .* product_id 'red' is that of line 2 too"):
            imports.bring(content, mapping)
    else:
        imports.bring(content, mapping)
        assert imports.column("product_id") == expected


def test_a_published_split_is_kept(imports: Imports) -> None:
    rows = "1,a,train\n2,b,Validation\n3,c,testing\n4,d,\n5,e,dev\n6,f,extra\n"
    summary = imports.bring(f"sku,name,part\n{rows}", mapping_of(more={"split": "part"}, max_quarantined=0.2))
    assert imports.column("split") == ["train", "validation", "test", None, "validation"]
    assert imports.listed("products-quarantine.csv") == ['7,"split: \'extra\' is none of train, validation, test","6, f, extra"']
    assert summary.quarantined == {"split cannot be read": 1}


def test_values_become_others(imports: Imports) -> None:
    values = {"gender": {"m": "Men", "w": "Women"}, "year": {"MMXXIV": "2024"}}
    rows = "1,a,m,MMXXIV\n2,b, w ,2023\n3,c,Boys,\n"
    imports.bring(f"sku,name,g,y\n{rows}", mapping_of(more={"gender": "g", "year": "y"}, values=values))
    assert imports.column("gender") == ["Men", "Women", "Boys"]
    assert imports.column("year") == [2024, 2023, None]


def test_values_of_levels_become_others(imports: Imports) -> None:
    mapping = mapping_of(split={"path": {}}, values={"master_category": {"Apparel": "Clothing"}})
    imports.bring("sku,name,path\n1,a,Apparel > Tops\n2,b,clothing > N/A\n", mapping)
    assert imports.column("master_category") == ["Clothing", "Clothing"]
    assert imports.column("sub_category") == ["Tops", None]


def test_events_and_their_kinds(imports: Imports) -> None:
    rows = "7,A,view,2024-01-01\n7,A,addtocart,2024-01-02\n8,B,Purchase,2024-01-03\n8,B,looked,2024-01-04\n8,B,view,soon\n"
    summary = imports.bring(f"user,item,what,when\n{rows}", events(values={"kind": {"addtocart": "cart"}}, max_quarantined=0.4))
    assert imports.column("kind", "events") == ["view", "cart", "purchase"]
    assert summary.quarantined == {"kind cannot be read": 1, "timestamp cannot be read": 1}


def test_tags_and_columns_as_attributes(imports: Imports) -> None:
    mapping = mapping_of(attributes="meta:*", tags={"column": "tags", "separator": ";", "attribute": "style"})
    imports.bring("sku,name,tags,meta:size,meta:cut\n1,a,x; y;x,S,\n2,b,,,\n", mapping)
    assert imports.attributes() == [{"meta:size": "S", "style": "x, y"}, None]


def test_tags_that_are_nested_too_deeply_are_a_text(imports: Imports) -> None:
    mapping = mapping_of(tags={"column": "tags"})
    imports.bring(f"sku,name,tags\n1,a,{'[' * 20_000}\n2,b,[[\n", mapping)
    assert imports.attributes() == [{"tags": "[" * 20_000}, {"tags": "[["}]


def test_a_form_of_numbers_that_is_found_is_told(imports: Imports) -> None:
    summary = imports.bring('sku,name,price\n1,a,"1.299,50 zł"\n', mapping_of(more={"price": "price"}))
    assert imports.column("price") == [1299.5]
    assert (summary.notes, summary.currency) == (("price: numbers are written 1.234,50",), "PLN")


def test_filters_and_what_they_cannot_compare(imports: Imports) -> None:
    summary = imports.bring("sku,name,stock\n1,a,2\n2,b,0\n3,c,few\n", mapping_of(where=["stock > 0"]))
    assert imports.column("product_id") == [1]
    assert summary.filtered == 2
    assert summary.notes == ("where stock > 0: 1 values are no numbers, their rows are left out; first: line 4",)


@pytest.mark.parametrize(("action", "prices"), [("drop", [None, 5.0]), ("quarantine", [5.0])])
def test_a_number_that_cannot_be_read(action: str, prices: list[float | None], imports: Imports) -> None:
    mapping = mapping_of(more={"price": "price"}, unreadable={"price": action}, max_quarantined=0.5)
    imports.bring("sku,name,price\n1,a,cheap\n2,b,5\n", mapping)
    assert imports.column("price") == prices


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"id;naam;prijs;datum;Stof;Foto\n", "no row"),
        (b"id;naam;prijs;Stof;Foto\n1;a;1;b;c\n", "has no column datum; it has: id, naam, prijs, Stof, Foto"),
        (HEADER.encode() + b"1;a;cheap;;b;c\n", "100 % .* first: line 2: price: 'cheap' is no number"),
        (HEADER.encode() + b"1;a;1;;b;c;too;many\n1;a;1;;b;c;too;many;more\n", "line 2: 8 values where the header names 6"),
        (HEADER.encode() + b"1;;1;;b;none.jpg\n", "no row comes in: 1 no title, description or photo; first: line 2: no title"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(content: bytes, message: str, imports: Imports, photos: Path) -> None:
    imports.file(content)
    before = sorted(imports.folder.rglob("*"))
    with pytest.raises(CatalogueError, match=message) as caught:
        imports.bring(content, DUTCH)
    assert "\n" not in str(caught.value)
    assert sorted(imports.folder.rglob("*")) == before


def test_one_bad_photo_is_that_photos_fault(imports: Imports, photos: Path) -> None:
    Image.new("RGB", (4, 4)).save(imports.folder / "secret.png")
    (photos / "out.png").symlink_to(imports.folder / "secret.png")
    rows = "1;a;;;;../secret.png\n2;b;;;;out.png\n3;c;;;;/a/1.png\n"
    summary = imports.bring(HEADER + rows, DUTCH)
    assert imports.column("product_id", "images") == [3]
    assert imports.listed("photos.csv") == [
        "1,../secret.png,the path leads out of the image folder",
        "2,out.png,the link leads out of the image folder",
    ]
    assert (summary.rows, summary.images) == (3, 1)


def test_photos_that_are_all_missing_are_said(imports: Imports, photos: Path) -> None:
    summary = imports.bring(HEADER + "1;a;;;;x.jpg\n2;b;;;;y.jpg\n", DUTCH)
    assert (summary.images, summary.missing_images) == (0, 2)
    (warning,) = summary.warnings
    assert warning.startswith("no product has a photo: not one of 2 was found below")
    assert "x.jpg: no such file below the image folder" in warning
    assert Catalogue.open(imports.out).images.get(1) is None


def test_photos_without_a_folder_are_said(imports: Imports) -> None:
    summary = imports.bring(HEADER + "1;a;;;;x.jpg\n", DUTCH)
    assert summary.warnings == (
        "the mapping says where photos lie, and no folder of them was given: none came in (--images DIR)",
    )


def test_a_photo_is_enough_for_a_product(imports: Imports, photos: Path) -> None:
    mapping = ImportMapping.model_validate(
        {"columns": {"product_id": "id", "article_type": "kind"}, "images": {"columns": "photo"}}
    )
    summary = imports.bring("id,kind,photo\n1,Cap,1.png\n2,Mug,b.jpg\n", mapping)
    assert imports.rows() == [{"product_id": 1, "article_type": "Cap"}]
    assert summary.left_out == {"no title, description or photo": 1}


def test_a_jpeg_keeps_its_orientation(imports: Imports, photos: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    (photos / "b.jpg").write_bytes(buffer.getvalue())
    imports.bring(HEADER + ROWS, DUTCH)
    assert decode(Catalogue.open(imports.out).images.get(2) or b"").shape == (40, 20, 3)


@pytest.mark.parametrize(
    ("file", "message"), [("{sku}.jpg", "names sku; columns: product_id"), ("photo.jpg", "must name a column in braces")]
)
def test_a_photo_pattern_must_name_columns(file: str, message: str, imports: Imports, photos: Path) -> None:
    mapping = DUTCH.model_copy(update={"images": DUTCH.images.model_copy(update={"file": file})})
    with pytest.raises(CatalogueError, match=message):
        imports.bring(HEADER + ROWS, mapping)


def test_a_second_table_joins_a_catalogue(imports: Imports) -> None:
    imports.bring("sku,name\nA,a\nB,b\n")
    purchases = {"table": "purchases", "columns": {"user_id": "user", "item_id": "item", "timestamp": "when"}}
    file = imports.file("user,item,when\n7,A,2024-01-01\n8,B,2024-01-02\n", "bought.csv")
    summary = import_table(ImportMapping.model_validate(purchases), file, into=imports.out)
    assert Catalogue.open(imports.out).tables() == ["products", "purchases"]
    assert imports.column("item_id", "purchases") == ["A", "B"]
    assert sorted(path.name for path in imports.out.rglob("*")) == [
        "import",
        "products.json",
        "products.parquet",
        "purchases.json",
        "purchases.parquet",
    ]
    assert summary.warnings == ()
    with pytest.raises(CatalogueError, match=r"has purchases\.parquet already"):
        import_table(ImportMapping.model_validate(purchases), file, into=imports.out)


@pytest.mark.parametrize(
    ("ids", "items", "found", "warned"), [("007", "8", "8", False), ("7", "A", "A", True), ("7", "8", 8, False)]
)
def test_ids_are_of_the_kind_that_the_catalogue_has(ids: str, items: str, found: Any, warned: bool, imports: Imports) -> None:
    imports.bring(f"sku,name\n{ids},a\n")
    mapping = ImportMapping.model_validate({"table": "item_attributes", "columns": {"item_id": "item", "attribute_id": "what"}})
    summary = import_table(mapping, imports.file(f"item,what\n{items},3\n", "more.csv"), into=imports.out)
    assert imports.rows("item_attributes") == [{"item_id": found, "attribute_id": 3}]
    assert any("item_id holds texts" in warning for warning in summary.warnings) is warned


def test_an_import_into_a_catalogue_that_fails_leaves_it_as_it_was(imports: Imports) -> None:
    imports.bring("sku,name\n1,a\n")
    before = {path: path.stat().st_mtime_ns for path in imports.out.rglob("*")}
    file = imports.file("user,item,what,when\n7,1,seen,2024-01-01\n", "events.csv")
    with pytest.raises(CatalogueError, match="kind: 'seen' is none of view, cart, purchase"):
        import_table(events(), file, into=imports.out)
    assert {path: path.stat().st_mtime_ns for path in imports.out.rglob("*")} == before


def test_where_an_import_cannot_go(imports: Imports, tmp_path: Path) -> None:
    file = imports.file("sku,name\n1,a\n")
    with pytest.raises(CatalogueError, match="exactly one of --out"):
        import_table(mapping_of(), file)
    with pytest.raises(CatalogueError, match="exactly one of --out"):
        import_table(mapping_of(), file, out=tmp_path / "a", into=tmp_path / "b")
    with pytest.raises(CatalogueError, match="is not a directory"):
        import_table(mapping_of(), file, into=tmp_path / "nowhere")
    with pytest.raises(CatalogueError, match="holds no catalogue table"):
        import_table(mapping_of(), file, into=tmp_path)
    with pytest.raises(CatalogueError, match=r"cannot read .*nothing\.csv: No such file"):
        import_table(mapping_of(), tmp_path / "nothing.csv", out=tmp_path / "out")
    with pytest.raises(CatalogueError, match="nowhere is not a folder of photos"):
        import_table(mapping_of(), file, tmp_path / "nowhere", out=tmp_path / "out")
    with pytest.raises(CatalogueError, match="photos belong to products, not to events"):
        import_table(events(), file, tmp_path, out=tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        import_table(mapping_of(), file, out=tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_an_empty_target_is_used_and_other_encodings_are_read(imports: Imports) -> None:
    imports.out.mkdir()
    summary = imports.bring("sku,name\n1,café\n".encode("cp1252"), mapping_of(encoding="cp1252"))
    assert imports.column("title") == ["café"]
    assert summary.notes == ()
    with pytest.raises(CatalogueError, match="encoding 'klingon' is not known"):
        import_table(mapping_of(encoding="klingon"), imports.folder / "shop.csv", out=imports.folder / "other")


def test_a_folder_of_photos_is_a_catalogue(imports: Imports) -> None:
    for kind in ("Cap", "Mug"):
        (imports.folder / "classes" / kind).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(imports.folder / "classes" / kind / "1.jpg")
    mapping = ImportMapping.model_validate(
        {"columns": {"article_type": "folder_1"}, "ids": "counted", "images": {"columns": "path"}}
    )
    summary = import_table(mapping, imports.folder / "classes", out=imports.out)
    assert imports.rows() == [{"product_id": 1, "article_type": "Cap"}, {"product_id": 2, "article_type": "Mug"}]
    assert (summary.images, summary.missing_images) == (2, 0)


def test_progress_is_told(imports: Imports) -> None:
    told: list[tuple[str, int, int | None]] = []
    import_table(
        mapping_of(), imports.file("sku,name\n1,a\n2,b\n"), out=imports.out, progress=lambda *values: told.append(values)
    )
    assert ("bringing in rows", 2, 2) in told


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": {"title": "id"}}, "columns must map product_id"),
        ({"columns": {"product_id": "id", "colour": "c"}}, "products has no column colour; allowed: product_id, title"),
        ({"columns": {"product_id": "id", "title": "t"}, "constants": {"title": "x"}}, "title is filled more than once"),
        ({"columns": {"product_id": "id", "article_type": "t"}, "split": {"c": {}}}, "article_type is filled more than once"),
        (
            {"table": "reviews", "columns": {"review_id": "i", "review": "r"}, "attributes": ["a"]},
            "attributes belongs to products",
        ),
        ({"columns": {"product_id": "id", "attributes": "a"}, "tags": {"column": "t"}}, "not from both"),
        ({"columns": {"product_id": "id"}, "ids": "counted"}, "ids are for tables with an id that columns does not map"),
        ({"columns": {"product_id": "id"}, "decimal": ",", "thousands": ","}, "they must differ"),
        ({"columns": {"product_id": "id"}, "currency": "euro"}, "currency"),
        ({"columns": {"product_id": "id", "title": "t"}, "seperator": ";"}, "unknown key 'seperator'"),
        ({"columns": {"product_id": "id", "title": "t"}, "images": {"quality": 200}}, "images.quality = 200"),
        ({"columns": {"product_id": "id"}, "images": {"file": "{id}", "columns": "x"}}, "one of file and columns"),
    ],
)
def test_a_wrong_mapping_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ImportMapping, values, where="mapping.yaml")


def test_a_mapping_is_read_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("columns:\n  product_id: id\n  title: naam\nimages:\n  file: '{id}.png'\nwhere: a > 0\n")
    mapping = load(ImportMapping, tmp_path / "m.yaml")
    assert (mapping.images.file, mapping.where) == ("{id}.png", ("a > 0",))


def test_columns_that_are_called_as_others_of_ours(imports: Imports) -> None:
    rows = "1,long text,short,7\n"
    imports.bring(
        f"product_id,title,description,value\n{rows}",
        mapping_of(more={"product_id": "value", "title": "description", "description": "title"}),
    )
    assert imports.rows() == [{"product_id": 7, "title": "short", "description": "long text"}]
    with pytest.raises(CatalogueError, match="column __row begins with __"):
        import_table(mapping_of(more={"title": "__row"}), imports.file("sku,__row\n1,a\n"), out=imports.folder / "other")


def test_photos_as_a_json_list(imports: Imports, photos: Path) -> None:
    Image.new("RGB", (8, 8)).save(photos / "a,b.jpg")
    rows = '1,Hemd,"[""https:\\/\\/cdn.example\\/a\\/1.png?v=2"", ""a,b.jpg""]"\n2,Jurk,[b.jpg\n'
    imports.bring(f"sku,name,photos\n{rows}", mapping_of(images={"columns": "photos"}))
    assert [(row["product_id"], row["position"]) for row in imports.rows("images")] == [(1, 0), (1, 1)]
    assert imports.listed("photos.csv") == ["2,[b.jpg,no such file below the image folder"]


def test_recommended_in_words(imports: Imports) -> None:
    columns = {"review_id": "key", "review": "text", "recommended": "again"}
    mapping = ImportMapping.model_validate({"table": "reviews", "columns": columns})
    imports.bring("key,text,again\n1,a,TRUE\n2,b,no\n3,c,\n4,d,1\n", mapping)
    assert imports.column("recommended", "reviews") == [1, 0, None, 1]


def test_a_file_of_which_no_row_fits_is_told_as_such(imports: Imports) -> None:
    with pytest.raises(CatalogueError, match=r"no row comes in: 1 does not fit the header; first: line 2: 4 values where"):
        imports.bring("sku,name,price\n1,Mug,4,50\n", mapping_of(max_quarantined=1.0))


def test_photos_that_no_product_names_are_told(imports: Imports, photos: Path) -> None:
    (photos / "mug_1.jpg").write_bytes(b"")
    (photos / "Thumbs.db").write_bytes(b"")
    summary = imports.bring(HEADER + ROWS, DUTCH)
    assert f"1 photo below {photos} belongs to no product that came in, such as mug_1.jpg" in summary.notes
