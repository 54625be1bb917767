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

from catalog.catalogue import Catalogue
from catalog.errors import ImageError
from catalog.images import decode, positions
from catalog.schema import TABLES, is_key
from catalog.text import clean_html
from catalog.vectors import Vectors, faults, holds_vectors
from configs.schema import ValidationConfig
from data_validation import interactions, products
from data_validation.findings import by_value, finding, nothing, repeats, texts

_CLOCK_SLACK = timedelta(days=1)
_IMAGES_A_BATCH = 1024
_VECTORS_A_BATCH = 8192
_SIDE = 512
"""Pixels at which a photo is decoded to see whether it can be: no model reads larger ones, and large JPEGs take less time."""
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
            return products.products(catalogue, decodable, latest)
        case "variants":
            return products.variants(catalogue)
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


def _images(catalogue: Catalogue) -> pd.DataFrame:
    """Keys and findings alone: the photos pass through memory in batches, decoded by a pool of threads."""
    keys: list[Any] = []
    places: list[str] = []
    undecodable: list[str | None] = []
    names = [name for name in TABLES["images"] if name in catalogue.columns("images").names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in catalogue.batches("images", names, _IMAGES_A_BATCH):
            keys += batch.column("product_id").to_pylist()
            places += [f"{p:g}" for p in positions(batch.column("position"))] if "position" in names else ["0"] * batch.num_rows
            undecodable += pool.map(_decode_fault, batch.column("jpeg").to_pylist())
    frame = pd.DataFrame({"product_id": keys, "position": places, "decode_fault": undecodable}, dtype=object)
    again = frame.duplicated(["product_id", "position"]) & frame["product_id"].notna()
    frame["repeated_key"] = finding(again, "repeats a photo of " + texts(frame.loc[again, "product_id"]))
    frame["orphan"] = products.orphans(catalogue, frame["product_id"])
    return frame


def _embeddings(catalogue: Catalogue) -> pd.DataFrame:
    """Keys and findings alone: the vectors pass through memory in batches."""
    frame = catalogue.read("embeddings", ["product_id"])
    batches = catalogue.batches("embeddings", ["embedding"], _VECTORS_A_BATCH)
    measured = [Vectors.of(batch.column("embedding")).without_values() for batch in batches]
    frame["vector_fault"] = faults(measured) if measured else nothing(frame.index)
    frame["repeated_key"] = repeats(frame["product_id"])
    frame["orphan"] = products.orphans(catalogue, frame["product_id"])
    return frame


def _reviews(catalogue: Catalogue) -> pd.DataFrame:
    frame = catalogue.read("reviews")
    if "recommended" in frame and _kind(catalogue.columns("reviews").field("recommended").type) == "boolean":
        frame["recommended"] = frame["recommended"].astype("boolean").astype("Int64")
    title, review = (_said(frame[name]) if name in frame else pd.Series("", frame.index) for name in ("title", "review"))
    text = (title + " " + review).str.strip()
    frame["text_length"] = text.str.len()
    frame["title_length"], frame["review_length"] = title.str.len(), review.str.len()
    frame["repeated_key"] = repeats(frame["review_id"])
    frame["repeated_text"] = finding(text.duplicated() & (text != ""), "same text as an earlier review")
    return frame


def _said(text: "pd.Series[Any]") -> "pd.Series[Any]":
    """Plain text, '' where it says nothing."""
    plain = by_value(text.astype(object), clean_html).fillna("")
    return plain.mask(plain.isin(_SAYS_NOTHING), "")


def _decode_fault(photo: bytes | None) -> str | None:
    try:
        decode(photo or b"", max_side=_SIDE)
    except ImageError as error:
        return str(error)
    return None


def decodable_ids(images: pd.DataFrame) -> set[str]:
    """Ids of the products with a photo that decodes, at whatever position; `images` is the measured table."""
    good = images["decode_fault"].isna() & images["repeated_key"].isna() & images["product_id"].notna()
    return set(texts(images.loc[good, "product_id"]))


def types(catalogue: Catalogue, table: str) -> pd.DataFrame:
    """A row a known column: `type_fault`, what is wrong with the type of its values, from the file's footer."""
    known = [field for field in catalogue.columns(table) if field.name in TABLES[table]]
    return pd.DataFrame({"type_fault": [_type_fault(table, field.name, _kind(field.type)) for field in known]}, dtype=object)


def _type_fault(table: str, column: str, kind: str) -> str | None:
    allowed = ("integer", "string") if is_key(column) else _KINDS[str(TABLES[table][column])]
    if "integer" in allowed and not is_key(column) and (table in ("reviews", "images") or column == "year"):
        allowed = (*allowed, "number")  # integers with gaps are often written so
    if column == "recommended":
        allowed = (*allowed, "boolean")
    if kind in (*allowed, "nothing"):
        return None
    return f"{column} is of type {kind}; allowed: {' or '.join(dict.fromkeys(allowed))}"


_KINDS = {
    "int64": ("integer",),
    "double": ("number", "integer"),
    "string": ("string",),
    "binary": ("binary",),
    "timestamp[ns, tz=UTC]": ("timestamp",),
    "list<item: float>": ("list of numbers",),
}


def _kind(type_: Any) -> str:
    if t.is_dictionary(type_):
        return _kind(type_.value_type)
    tests = {
        "integer": t.is_integer,
        "boolean": t.is_boolean,
        "number": lambda x: t.is_floating(x) or t.is_decimal(x),
        "string": lambda x: t.is_string(x) or t.is_large_string(x),
        "binary": lambda x: t.is_binary(x) or t.is_large_binary(x),
        "timestamp": t.is_timestamp,
        "nothing": t.is_null,
        "list of numbers": holds_vectors,
    }
    return next((kind for kind, is_kind in tests.items() if is_kind(type_)), str(type_))
