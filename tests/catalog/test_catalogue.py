import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.catalogue import Catalogue, listing_of, parse_attributes, said
from catalog.errors import CatalogueError
from catalog.schema import PRODUCT_COLUMNS
from catalog.write import keep_table


def write(folder: Path, table: str, **columns: object) -> Catalogue:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{table}.parquet")
    return Catalogue.open(folder)


def test_absent_columns_are_missing_and_typed(tmp_path: Path) -> None:
    products = write(tmp_path / "c", "products", product_id=[1, 2], title=["Blue shirt", None]).products()
    assert list(products.columns) == list(PRODUCT_COLUMNS)
    assert products["product_id"].dtype == np.int64
    assert products["price"].dtype == np.float64
    assert str(products["listed_at"].dtype) == "datetime64[ns, UTC]"
    assert products["brand"].isna().all()


def test_other_widths_encodings_and_zones_are_read(tmp_path: Path) -> None:
    catalogue = write(
        tmp_path / "c",
        "products",
        product_id=pa.array([3, None], pa.int32()),
        title=pa.array(["a", "b"]).dictionary_encode(),
        price=pa.array([5, 7], pa.int16()),
        year=pa.array([2011, None], pa.int16()),
        listed_at=pa.array([0, 1], pa.timestamp("s")),
    )
    products = catalogue.products()
    assert products["product_id"].dtype == pd.Int64Dtype()
    assert products["product_id"].isna().tolist() == [False, True]
    assert products["title"].tolist() == ["a", "b"]
    assert products["price"].tolist() == [5.0, 7.0]
    assert products["year"].dtype == pd.Int64Dtype()
    assert products["listed_at"].iloc[1] == pd.Timestamp(1, unit="s", tz="UTC")


def test_string_ids_stay_strings(tmp_path: Path) -> None:
    products = write(tmp_path / "c", "products", product_id=["007", "8"], title=["a", "b"]).products()
    assert products["product_id"].tolist() == ["007", "8"]


def test_duplicate_ids_are_read_as_they_are(tmp_path: Path) -> None:
    assert write(tmp_path / "c", "products", product_id=[1, 1], title=["a", "b"]).products()["product_id"].tolist() == [1, 1]


def test_a_catalogue_without_rows_is_read(tmp_path: Path) -> None:
    catalogue = write(tmp_path / "c", "products", product_id=pa.array([], pa.int64()), title=pa.array([], pa.string()))
    assert len(catalogue.products()) == 0
    assert catalogue.images.get(1) is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"product_id": [1.5], "title": ["a"]}, r"product_id is double; allowed: int64, string"),
        ({"product_id": [1], "title": ["a"], "price": ["cheap"]}, r"price is string and does not read as double.*cheap"),
    ],
)
def test_a_column_of_another_type_is_named(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        write(tmp_path / "c", "products", **columns).products()


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("products", {"product_id": [1], "listed_at": [1_700_000_000]}),
        ("purchases", {"user_id": [1], "item_id": [1], "timestamp": [1_700_000_000_000]}),
        ("events", {"user_id": [1], "item_id": [1], "kind": ["view"], "timestamp": pa.array([5], pa.int32())}),
    ],
)
def test_numbers_are_no_moments(tmp_path: Path, table: str, columns: dict[str, object]) -> None:
    catalogue = write(tmp_path / "c", table, **columns)
    said = rf"{table}\.parquet: {list(columns)[-1]} is int\d\d, .*allowed: timestamp .*date_format"
    with pytest.raises(CatalogueError, match=said) as caught:
        getattr(catalogue, table)()
    assert "\n" not in str(caught.value)


def test_tables_may_lie_in_several_folders(tmp_path: Path, photo: bytes) -> None:
    write(tmp_path / "a", "products", product_id=[1], title=["a"])
    write(tmp_path / "b", "reviews", review_id=[1, 2], review=["x", "y"])
    write(tmp_path / "b", "images", product_id=[1], jpeg=[photo])
    both = Catalogue.open(tmp_path / "a", tmp_path / "b")
    assert both.folders == (tmp_path / "a", tmp_path / "b")
    assert both.tables() == ["products", "images", "reviews"]
    assert both.rows("reviews") == 2
    assert both.images.get(1) == photo
    assert both.path("purchases") == tmp_path / "a" / "purchases.parquet"
    assert both.without(pd.DataFrame({"table": ["reviews"], "row": [0]})).reviews()["review"].tolist() == ["y"]
    assert both.fingerprint() == Catalogue.open(tmp_path / "b", tmp_path / "a").fingerprint()
    assert both.fingerprint() not in (Catalogue.open(tmp_path / name).fingerprint() for name in "ab")
    with pytest.raises(CatalogueError, match=r"/a, .*/b has no purchases\.parquet; it has: products, images, reviews"):
        both.require(["products", "purchases"])


def test_folders_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, "products", product_id=[1], title=["a"])
    with pytest.raises(CatalogueError, match=r"products\.parquet is in .*/a and in .*/b; each table may come from one folder"):
        Catalogue.open(tmp_path / "a", tmp_path / "b")
    with pytest.raises(CatalogueError, match=r"products\.parquet is in .*/a and in .*/a;"):
        Catalogue.open(tmp_path / "a", tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogueError, match=r"empty holds no catalogue table"):
        Catalogue.open(tmp_path / "a", tmp_path / "empty")
    with pytest.raises(CatalogueError, match=r"absent is not a directory"):
        Catalogue.open(tmp_path / "a", tmp_path / "absent")


def test_reviews_are_typed_and_complete(tmp_path: Path) -> None:
    catalogue = write(
        tmp_path / "c",
        "reviews",
        review=["<b>fits</b>", None],
        review_id=["007", "8"],
        rating=pa.array([4.0, None]),
        age=[30, 40],
    )
    reviews = catalogue.reviews()
    assert list(reviews.columns) == ["review_id", "title", "review", "rating", "recommended"]
    assert reviews["review_id"].tolist() == ["007", "8"]
    assert reviews["review"].tolist() == ["<b>fits</b>", None]
    assert reviews["rating"].dtype == reviews["recommended"].dtype == pd.Int64Dtype()
    assert reviews["rating"].isna().tolist() == [False, True]
    assert reviews["title"].isna().all()
    assert reviews["recommended"].isna().all()


def test_purchases_are_typed_and_complete(tmp_path: Path) -> None:
    purchases = write(tmp_path / "c", "purchases", user_id=pa.array([1, 2], pa.int32()), item_id=["a", "b"]).purchases()
    assert list(purchases.columns) == ["user_id", "item_id", "position", "timestamp"]
    assert purchases["user_id"].dtype == np.int64
    assert purchases["item_id"].tolist() == ["a", "b"]
    assert purchases[["position", "timestamp"]].isna().all(axis=None)
    ordered = write(tmp_path / "c", "purchases", user_id=[1], item_id=[2], timestamp=pa.array([60], pa.timestamp("s")))
    assert ordered.purchases()["timestamp"].iloc[0] == pd.Timestamp("1970-01-01 00:01", tz="UTC")


def test_events_are_typed(tmp_path: Path) -> None:
    columns = {"user_id": ["u"], "item_id": [3], "timestamp": pa.array([0], pa.timestamp("ms", tz="UTC"))}
    events = write(tmp_path / "c", "events", kind=["view"], **columns).events()
    assert events.to_dict("records") == [{"user_id": "u", "item_id": 3, "kind": "view", "timestamp": pd.Timestamp(0, tz="UTC")}]
    with pytest.raises(CatalogueError, match=r"lacks column kind; it has: user_id, item_id, timestamp"):
        write(tmp_path / "d", "events", **columns)


def test_a_kept_table_is_in_a_folder_named_by_its_content(tmp_path: Path) -> None:
    one = pd.DataFrame({"item_id": [1], "attribute_id": [2]})
    first = keep_table(tmp_path / "kept", "item_attributes", one)
    assert keep_table(tmp_path / "kept", "item_attributes", one) == first
    assert keep_table(tmp_path / "kept", "item_attributes", one + 1) != first
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert Catalogue.open(first).read("item_attributes").to_dict("list") == {"item_id": [1], "attribute_id": [2]}
    (tmp_path / "file").touch()
    with pytest.raises(CatalogueError, match=r"cannot write below .*/file/kept"):
        keep_table(tmp_path / "file" / "kept", "item_attributes", one)


def test_reviews_in_quarantine_are_not_read(tmp_path: Path) -> None:
    catalogue = write(tmp_path / "c", "reviews", review_id=[1, 2], review=["a", "b"], rating=[4.5, 5.0])
    with pytest.raises(CatalogueError, match=r"reviews\.parquet: rating is double and does not read as int64"):
        catalogue.reviews()
    clean = catalogue.without(pd.DataFrame({"table": ["reviews"], "row": [0]}))
    assert clean.reviews()["rating"].tolist() == [5]


def test_opening_refuses_what_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere is not a directory"):
        Catalogue.open(tmp_path / "nowhere")
    with pytest.raises(CatalogueError, match=r"holds no catalogue table; known: products\.parquet"):
        Catalogue.open(tmp_path)
    (tmp_path / "products.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(CatalogueError, match=r"products\.parquet is not a readable Parquet file"):
        Catalogue.open(tmp_path)
    with pytest.raises(CatalogueError, match=r"lacks column product_id; it has: id, name"):
        write(tmp_path, "products", id=[1], name=["a"])


def test_damage_behind_the_footer_is_reported(tmp_path: Path) -> None:
    titles = [f"title {i} {i * 7919 % 104729}" for i in range(5000)]
    write(tmp_path / "c", "products", product_id=list(range(5000)), title=titles)
    path = tmp_path / "c" / "products.parquet"
    content = bytearray(path.read_bytes())
    content[100:40_000] = bytes(39_900)
    path.write_bytes(content)
    with pytest.raises(CatalogueError, match=r"products\.parquet is corrupt"):
        Catalogue.open(tmp_path / "c").read("products")


@pytest.mark.slow
def test_reading_an_absent_table_or_column_says_what_there_is(shop: Catalogue) -> None:
    assert shop.read("reviews", ["rating"]).columns.tolist() == ["rating"]
    with pytest.raises(CatalogueError, match=r"has no purchases_test\.parquet; it has: products, images"):
        shop.read("purchases_test")
    with pytest.raises(CatalogueError, match=r"no column stars; it has: review_id"):
        shop.read("reviews", ["stars"])
    with pytest.raises(CatalogueError, match=r"table 'orders' is not known"):
        shop.read("orders")


def test_the_fingerprint_follows_content_alone(tmp_path: Path) -> None:
    one = write(tmp_path / "a", "products", product_id=[1], title=["a"])
    same = write(tmp_path / "b", "products", product_id=[1], title=["a"])
    before = one.fingerprint()
    assert before == same.fingerprint()
    (tmp_path / "a" / "notes.txt").write_text("not a table")
    assert one.fingerprint() == before
    write(tmp_path / "a", "products", product_id=[1], title=["b"])
    assert one.fingerprint() != before


def test_a_column_says_nothing_where_a_listing_has_nothing() -> None:
    column = pd.Series(["Shirts", "NA", " NA ", "", "  ", None, np.nan, pd.NA])
    found = said(column)
    assert found.iloc[0] == "Shirts"
    assert found.iloc[1:].isna().all()
    assert said(column[:0]).empty
    listings = [listing_of({"article_type": value}, None) for value in column]
    assert [bool(listing.categories) for listing in listings] == found.notna().tolist()


def test_rows_left_out_are_told_apart(tmp_path: Path) -> None:
    catalogue = write(tmp_path / "c", "products", product_id=[1, 2])
    first, second = (catalogue.without(pd.DataFrame({"table": ["products"], "row": [row]})) for row in (0, 1))
    assert catalogue.left_out() == ""
    assert first.left_out() == first.left_out() != second.left_out()


def test_a_listing_holds_only_what_is_known() -> None:
    row = {
        "title": "Blue shirt",
        "description": "<p>soft</p>",
        "price": 499.0,
        "brand": "NA",
        "gender": "Men",
        "season": "",
        "usage": None,
        "base_colour": float("nan"),
        "article_type": "Shirts",
        "attributes": json.dumps({"Fabric": "Cotton", "Fit": "NA", "Neck": "", "Pockets": None, "Count": 2}),
    }
    listing = listing_of(row, b"")
    assert listing.description == "<p>soft</p>"
    assert listing.fields == {"gender": "Men"}
    assert listing.categories == {"article_type": "Shirts"}
    assert listing.attributes == {"Fabric": "Cotton", "Count": "2"}
    assert listing.image is None


@pytest.mark.parametrize("price", [0, -5, float("nan"), float("inf"), None, pd.NA])
def test_a_price_that_is_none_is_missing(price: object) -> None:
    assert listing_of({"title": "a", "price": price}, None).price is None


@pytest.mark.parametrize("text", ["{", "[1]", '"a"'])
def test_attributes_that_are_no_object_are_refused(text: str) -> None:
    with pytest.raises(CatalogueError, match="attributes"):
        parse_attributes(text)


@pytest.mark.parametrize("text", ['{"a":' * 2000 + "1" + "}" * 2000, '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"])
def test_attributes_that_are_nested_too_deeply_are_refused(text: str) -> None:
    with pytest.raises(CatalogueError, match=r"^attributes .{,70} is nested too deeply; allowed: [^\n]*$"):
        parse_attributes(text)


def test_real_reviews_are_read(real_data: Path) -> None:
    reviews = Catalogue.open(real_data / "reviews").reviews()
    assert len(reviews) == 20_073
    assert set(reviews["recommended"]) == {0, 1}
    assert reviews["title"].isna().sum() == 3248


def test_myntra_is_read(myntra: Catalogue) -> None:
    products = myntra.products()
    assert len(products) == 40_443
    assert products["article_type"].nunique() == 141
    assert (products["price"] <= 0).sum() == 4
    listing = listing_of(products.iloc[0].to_dict(), myntra.images.get(products["product_id"].iloc[0]))
    assert listing.title == "Nike Sahara Team India Fanwear Round Neck Jersey"
    assert listing.image is not None
    assert "Fabric 3" not in listing.attributes
