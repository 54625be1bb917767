"""What expectations look at beside the delivered columns: lengths, faults found by decoding, comparison across tables.

A *finding* column is null where all is well and says what is wrong where it is not. Frames are indexed by the row's
position in its file.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow.types as t

from catalog.catalogue import Catalogue, parse_attributes
from catalog.errors import CatalogueError, ImageError
from catalog.images import decode
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.text import clean_html
from catalog.vectors import Vectors, faults, holds_vectors
from configs.schema import ValidationConfig
from data_validation import interactions
from data_validation.findings import finding, nothing, texts

_CLOCK_SLACK = timedelta(days=1)
_IMAGES_A_BATCH = 1024
_VECTORS_A_BATCH = 8192
_SAYS_NOTHING = ("", "NA")


def measure(
    catalogue: Catalogue, table: str, decodable: set[str], config: ValidationConfig, now: datetime | None = None
) -> pd.DataFrame:
    """Rows of `table` with everything its rules look at.

    Args:
        decodable: Ids of products with a photo that decodes (`decodable_ids`).
        config: Bounds on what a user may do.
        now: Later times are in the future; the clock's by default.

    Raises:
        CatalogueError: the table cannot be read.
    """
    latest = pd.Timestamp((now or datetime.now(UTC)) + _CLOCK_SLACK)
    match table:
        case "products":
            return _products(catalogue, decodable, latest)
        case "images":
            return _images(catalogue)
        case "embeddings":
            return _embeddings(catalogue)
        case "purchases" | "purchases_test":
            return interactions.purchases(catalogue, table, config, latest)
        case "events":
            return interactions.events(catalogue, config, latest)
        case "item_attributes":
            return interactions.item_attributes(catalogue)
        case _:
            return _reviews(catalogue)


def _products(catalogue: Catalogue, decodable: set[str], latest: pd.Timestamp) -> pd.DataFrame:
    frame = catalogue.products()
    for column in ("description", *CATEGORY_LEVELS, *CATEGORICAL_FIELDS):
        text = frame[column].astype(object)
        frame[column] = text.mask(text.fillna("").str.strip().isin(_SAYS_NOTHING), None)
    frame["repeated_key"] = _repeats(frame["product_id"])
    frame["title_length"] = frame["title"].fillna("").map(clean_html).str.len()
    frame["description_words"] = frame["description"].map(_words, na_action="ignore").astype("float64")
    frame["description_length"] = frame["description"].map(len, na_action="ignore").astype("float64")
    frame["attributes_fault"] = frame["attributes"].map(_attributes_fault, na_action="ignore")
    listed = frame["listed_at"]
    frame["future_listing"] = finding(listed > latest, listed.astype(str))
    ahead = (frame["year"].astype("float64") - listed.dt.year) > 1
    frame["year_ahead"] = finding(ahead, "year " + frame["year"].astype(str) + ", listed in " + listed.dt.year.astype(str))
    for child, parent in (("article_type", "sub_category"), ("sub_category", "master_category")):
        frame[f"{child}_misplaced"] = _misplaced(frame[child], frame[parent])
    frame["has_price"] = (frame["price"] > 0).astype("float64")
    frame["has_image"] = texts(frame["product_id"]).isin(decodable).astype("float64")
    return frame


def _images(catalogue: Catalogue) -> pd.DataFrame:
    """Keys and findings alone: the photos pass through memory in batches, decoded by a pool of threads."""
    keys: list[Any] = []
    undecodable: list[str | None] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in catalogue.batches("images", ["product_id", "jpeg"], _IMAGES_A_BATCH):
            keys += batch.column("product_id").to_pylist()
            undecodable += pool.map(_decode_fault, batch.column("jpeg").to_pylist())
    frame = pd.DataFrame({"product_id": keys, "decode_fault": pd.Series(undecodable, dtype=object)})
    frame["repeated_key"] = _repeats(frame["product_id"])
    frame["orphan"] = _orphans(catalogue, frame["product_id"])
    return frame


def _embeddings(catalogue: Catalogue) -> pd.DataFrame:
    """Keys and findings alone: the vectors pass through memory in batches."""
    frame = catalogue.read("embeddings", ["product_id"])
    batches = catalogue.batches("embeddings", ["embedding"], _VECTORS_A_BATCH)
    measured = [Vectors.of(batch.column("embedding")).without_values() for batch in batches]
    frame["vector_fault"] = faults(measured) if measured else nothing(frame.index)
    frame["repeated_key"] = _repeats(frame["product_id"])
    frame["orphan"] = _orphans(catalogue, frame["product_id"])
    return frame


def _reviews(catalogue: Catalogue) -> pd.DataFrame:
    frame = catalogue.read("reviews")
    title, review = (_said(frame[name]) if name in frame else pd.Series("", frame.index) for name in ("title", "review"))
    text = (title + " " + review).str.strip()
    frame["text_length"] = text.str.len()
    frame["title_length"], frame["review_length"] = title.str.len(), review.str.len()
    frame["repeated_key"] = _repeats(frame["review_id"])
    frame["repeated_text"] = finding(text.duplicated() & (text != ""), "same text as an earlier review")
    return frame


def _orphans(catalogue: Catalogue, product: "pd.Series[Any]") -> "pd.Series[Any]":
    if "products" not in catalogue.tables():
        return nothing(product.index)
    known = set(texts(catalogue.read("products", ["product_id"])["product_id"]))
    return finding(~texts(product).isin(known), "no product " + texts(product))


def _repeats(key: "pd.Series[Any]") -> "pd.Series[Any]":
    said = texts(key)
    return finding(said.duplicated() & key.notna(), "repeats " + said)


def _said(text: "pd.Series[Any]") -> "pd.Series[Any]":
    """Plain text, '' where it says nothing."""
    plain = text.fillna("").map(clean_html)
    return plain.mask(plain.isin(_SAYS_NOTHING), "")


def _misplaced(child: "pd.Series[Any]", parent: "pd.Series[Any]") -> "pd.Series[Any]":
    known = pd.DataFrame({"child": child, "parent": parent}).dropna()
    usual = known.groupby("child")["parent"].agg(lambda parents: parents.mode().iat[0]) if len(known) else pd.Series(dtype=object)
    expected = child.map(usual)
    text = child.astype(object) + " under " + parent.astype(object) + ", usually " + expected.astype(object)
    return finding((parent != expected) & parent.notna() & expected.notna(), text)


def _words(text: str) -> int:
    return sum(any(c.isalnum() for c in word) for word in clean_html(text).split())


def _attributes_fault(value: str) -> str | None:
    try:
        parse_attributes(value)
    except CatalogueError as error:
        return str(error)
    return None


def _decode_fault(photo: bytes | None) -> str | None:
    try:
        decode(photo or b"")
    except ImageError as error:
        return str(error)
    return None


def decodable_ids(images: pd.DataFrame) -> set[str]:
    """Ids of the products with a photo that decodes; `images` is the measured table."""
    return set(texts(images.loc[images["decode_fault"].isna() & images["product_id"].notna(), "product_id"]))


def kinds(catalogue: Catalogue, table: str) -> pd.DataFrame:
    """One row: the kind of each column's values, from the file's footer."""
    return pd.DataFrame({field.name: [_kind(field.type)] for field in catalogue.columns(table)})


def _kind(type_: Any) -> str:
    if t.is_dictionary(type_):
        return _kind(type_.value_type)
    tests = {
        "integer": t.is_integer,
        "number": lambda x: t.is_floating(x) or t.is_decimal(x),
        "string": lambda x: t.is_string(x) or t.is_large_string(x),
        "binary": lambda x: t.is_binary(x) or t.is_large_binary(x),
        "timestamp": t.is_timestamp,
        "nothing": t.is_null,
        "list of numbers": holds_vectors,
    }
    return next((kind for kind, is_kind in tests.items() if is_kind(type_)), str(type_))
