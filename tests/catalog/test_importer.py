import io
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from catalog.catalogue import Catalogue
from catalog.errors import CatalogueError
from catalog.images import decode
from catalog.importer import ImportMapping, import_csv
from configs.errors import ConfigError
from configs.load import load, validate

HEADER = "id;naam;prijs;datum;Stof;Foto\n"
ROWS = "1;Blauw hemd;1.299,50;03-02-2024;Katoen;a/1.png\n2;Rode jurk;;;;b.jpg\n3;Sjaal;12;01-01-2024;Wol;none.jpg\n"
MAPPING = ImportMapping.model_validate(
    {
        "columns": {"product_id": "id", "title": "naam", "price": "prijs", "listed_at": "datum"},
        "constants": {"usage": "Casual", "year": "2024"},
        "attributes": ["Stof"],
        "images": {"file": "{Foto}", "max_side": 50},
        "separator": ";",
        "decimal": ",",
        "thousands": ".",
        "date_format": "%d-%m-%Y",
    }
)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "shop.csv"
    path.write_text("\ufeff" + HEADER + ROWS, encoding="utf-8")
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "a").mkdir(parents=True)
    Image.new("RGBA", (200, 100), (0, 0, 255, 255)).save(folder / "a" / "1.png")
    (folder / "b.jpg").write_bytes(b"not a photo")
    return folder


def test_columns_types_attributes_and_photos_arrive(csv: Path, photos: Path, tmp_path: Path) -> None:
    summary = import_csv(MAPPING, csv, photos, tmp_path / "out")
    assert summary.model_dump() == {
        "out": str(tmp_path / "out"),
        "table": "products",
        "rows": 3,
        "images": 1,
        "missing_images": 1,
        "undecodable": ("b.jpg",),
    }
    catalogue = Catalogue.open(tmp_path / "out")
    assert catalogue.tables() == ["products", "images"]
    products = catalogue.products()
    assert products["product_id"].tolist() == [1, 2, 3]
    assert products["title"].tolist() == ["Blauw hemd", "Rode jurk", "Sjaal"]
    assert products["price"].fillna(-1).tolist() == [1299.5, -1, 12]
    assert products["listed_at"][0] == pd.Timestamp("2024-02-03", tz="UTC")
    assert products["usage"].unique().tolist() == ["Casual"]
    assert products["year"].tolist() == [2024] * 3
    assert [json.loads(text) for text in products["attributes"]] == [{"Stof": "Katoen"}, {}, {"Stof": "Wol"}]
    pixels = decode(catalogue.images.get(1) or b"")
    assert pixels.shape == (25, 50, 3)
    assert pixels[10, 10, 2] > 240


def test_reviews_and_string_ids(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text('key,text,stars\n007,"fine,\nreally",4\nx1,,\n')
    mapping = ImportMapping(table="reviews", columns={"review_id": "key", "review": "text", "rating": "stars"})
    assert import_csv(mapping, tmp_path / "r.csv", None, tmp_path / "out").rows == 2
    reviews = Catalogue.open(tmp_path / "out").read("reviews")
    assert reviews["review_id"].tolist() == ["007", "x1"]
    assert reviews["review"][0] == "fine,\nreally"
    assert reviews["rating"][0] == 4


def test_duplicate_and_missing_ids_are_left_to_validation(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "p.csv").write_text("product_id,title\n1,a\n1,b\n,c\n")
    mapping = ImportMapping.model_validate(
        {"columns": {"product_id": "product_id", "title": "title"}, "images": {"file": "a/{product_id}.png"}}
    )
    summary = import_csv(mapping, tmp_path / "p.csv", photos, tmp_path / "out")
    assert (summary.rows, summary.images, summary.missing_images) == (3, 1, 0)
    assert Catalogue.open(tmp_path / "out").products()["product_id"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"shop\.csv is empty"),
        (b"id;naam;prijs;datum;Stof;Stof\n", r"column Stof occurs more than once"),
        (b"id;naam;prijs;Stof;Foto\n1;a;1;b;c\n", r"has no column datum; it has: id, naam, prijs, Stof, Foto"),
        (HEADER.encode() + b"1;a;1;;b;c\n2;caf\xe9;1;;b;c\n", r"line 3: byte 0xe9 is not utf-8"),
        (HEADER.encode() + b"1;a;cheap;;b;c\n", r"column prijs: 'cheap' is not a number \(row 1, 1 such rows\)"),
        (HEADER.encode() + b"1;a;1;2024-01-01;b;c\n", r"column datum: '2024-01-01' is not a date of the form %d-%m-%Y"),
        (HEADER.encode() + b"1;a;1;;b;c;too;many\n1;a;1;;b;c;too;many;more\n", r"is no table: .*line 3"),
        (HEADER.encode() + b"1;a;1;;b;../secret.png\n", r"row 1: photo '\.\./secret\.png' lies outside"),
        (HEADER.encode() + b"1;a;1;;b;link/secret.png\n", r"row 1: photo 'link/secret\.png' lies outside"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(content: bytes, message: str, csv: Path, photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (photos / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.iterdir())
    csv.write_bytes(content)
    with pytest.raises(CatalogueError, match=message) as caught:
        import_csv(MAPPING, csv, photos, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_missing_files_and_an_occupied_target(csv: Path, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"cannot read .*nothing\.csv: No such file"):
        import_csv(MAPPING, tmp_path / "nothing.csv", None, tmp_path / "out")
    with pytest.raises(CatalogueError, match=r"nowhere is not a folder of photos"):
        import_csv(MAPPING, csv, tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(CatalogueError, match="exists and is not an empty folder"):
        import_csv(MAPPING, csv, None, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_an_empty_target_is_used_and_other_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("product_id,title\n1,café\n".encode("cp1252"))
    (tmp_path / "out").mkdir()
    mapping = ImportMapping(columns={"product_id": "product_id", "title": "title"}, encoding="cp1252")
    import_csv(mapping, tmp_path / "p.csv", None, tmp_path / "out")
    assert Catalogue.open(tmp_path / "out").products()["title"].tolist() == ["café"]
    with pytest.raises(CatalogueError, match="encoding 'klingon' is not known"):
        import_csv(mapping.model_copy(update={"encoding": "klingon"}), tmp_path / "p.csv", None, tmp_path / "other")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"columns": {"product_id": "id"}}, "columns must map title"),
        (
            {"columns": {"product_id": "id", "title": "t", "colour": "c"}},
            "products has no column colour; allowed: product_id, title",
        ),
        ({"columns": {"product_id": "id", "title": "t"}, "constants": {"title": "x"}}, "title is in columns and in constants"),
        ({"table": "reviews", "columns": {"review_id": "i", "review": "r"}, "attributes": ["a"]}, "folded into products only"),
        ({"columns": {"product_id": "id", "title": "t"}, "seperator": ";"}, "unknown key 'seperator'"),
        ({"columns": {"product_id": "id", "title": "t"}, "images": {"quality": 200}}, "images.quality = 200"),
    ],
)
def test_a_wrong_mapping_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ImportMapping, values, where="mapping.yaml")


def test_a_mapping_is_read_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("columns:\n  product_id: id\n  title: naam\nimages:\n  file: '{id}.png'\n")
    assert load(ImportMapping, tmp_path / "m.yaml").images.file == "{id}.png"


@pytest.mark.parametrize(
    ("file", "message"), [("{sku}.jpg", "names sku; columns: product_id"), ("photo.jpg", "must name a column in braces")]
)
def test_a_photo_pattern_must_name_columns(file: str, message: str, csv: Path, photos: Path, tmp_path: Path) -> None:
    mapping = MAPPING.model_copy(update={"images": MAPPING.images.model_copy(update={"file": file})})
    with pytest.raises(CatalogueError, match=message):
        import_csv(mapping, csv, photos, tmp_path / "out")


def test_a_jpeg_keeps_its_orientation(csv: Path, photos: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    (photos / "b.jpg").write_bytes(buffer.getvalue())
    import_csv(MAPPING, csv, photos, tmp_path / "out")
    assert decode(Catalogue.open(tmp_path / "out").images.get(2) or b"").shape == (40, 20, 3)
