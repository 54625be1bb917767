"""What the expectations of products and their variants look at beside the delivered columns; see `measures`.

Texts are looked at once a distinct value: of a million products most labels, attributes and descriptions are the same.
"""

import re
from collections.abc import Collection
from itertools import islice
from typing import Any

import pandas as pd

from catalog.catalogue import Catalogue, parse_attributes
from catalog.errors import CatalogueError
from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS
from catalog.schema import SPLITS
from catalog.text import clean_html, looks_misread, normalise
from data_validation.findings import absent, by_value, finding, nothing, repeats, texts

LABELS = (*CATEGORY_LEVELS, *CATEGORICAL_FIELDS)
TWINS = ("title", "brand", "base_colour", "price")
"""Columns that two listings of one product share."""
MIN_DESCRIPTION_WORDS = 3
PRICE_QUANTILES = (0.001, 0.999)
"""Between which prices lie, but for a few outliers."""

_SAYS_NOTHING = ("", "NA")
_WORD = re.compile(r"[^\W_]\S*")


def products(catalogue: Catalogue, decodable: Collection[str], latest: pd.Timestamp) -> pd.DataFrame:
    """Rows of products; texts and labels that say nothing are missing, times after `latest` are in the future."""
    frame = catalogue.products()
    for column in ("title", "description", *LABELS):
        frame[column] = by_value(frame[column], _said)
    _add_texts(frame)
    _add_labels(frame)
    _add_numbers(frame, latest)
    key = frame["product_id"]
    frame["repeated_key"] = repeats(key)
    frame["key_length"] = by_value(key, len).astype("float64") if key.dtype == object else float("nan")
    frame["attributes_fault"] = by_value(frame["attributes"], _attributes_fault)
    frame["split_fault"] = by_value(frame["split"], _split_fault)
    frame["has_image"] = texts(frame["product_id"]).isin(decodable).astype("float64") if decodable else 0.0
    silent = frame["title"].isna() & frame["description"].isna() & (frame["has_image"] == 0)
    frame["says_nothing"] = finding(silent, "no title, no description and no photo that can be decoded")
    return frame


def variants(catalogue: Catalogue) -> pd.DataFrame:
    """Rows of variants."""
    frame = catalogue.read("variants")
    frame["orphan"] = orphans(catalogue, frame["product_id"])
    frame["repeated_key"] = finding(
        frame.duplicated(["product_id", "variant_id"]) & frame["variant_id"].notna(), "repeats a variant of this product"
    )
    if "options" in frame:
        frame["options_fault"] = by_value(frame["options"], _attributes_fault)
    return frame


def orphans(catalogue: Catalogue, product: "pd.Series[Any]") -> "pd.Series[Any]":
    """Ids that no product has; no finding where there is no table of products."""
    if "products" not in catalogue.tables():
        return nothing(product.index)
    strange = absent(product, set(texts(catalogue.keys("products", "product_id").dropna())))
    return finding(strange, "no product " + texts(product[strange]))


def _add_texts(frame: pd.DataFrame) -> None:
    frame["title_length"] = by_value(frame["title"], lambda text: len(clean_html(text)) or None).astype("float64")
    frame["title"] = frame["title"].mask(frame["title_length"].isna(), None)
    frame["description_words"] = by_value(frame["description"], _words).astype("float64")
    frame["description"] = frame["description"].mask(frame["description_words"].isna(), None)
    frame["description_length"] = by_value(frame["description"], len).astype("float64")
    same = frame.duplicated(list(TWINS), keep=False) & frame["title"].notna()
    frame["twin"] = finding(same, "is listed twice")


def _add_labels(frame: pd.DataFrame) -> None:
    """Labels that are written in several ways or decoded wrongly; classes of one product; classes under an unusual parent."""
    frame["misread"] = by_value(frame["title"], lambda title: f"title {title!r}" if looks_misread(title) else None)
    frame["other_spelling"] = nothing(frame.index)
    for column in LABELS:
        misread, spelling = _spellings(frame[column])
        for name, found in (("misread", misread), ("other_spelling", spelling)):
            if found:
                said = frame[column].map({label: f"{column} {what}" for label, what in found.items()})
                frame[name] = frame[name].where(frame[name].notna(), said)
    for level in CATEGORY_LEVELS:
        first = frame.loc[frame[level].notna() & ~frame.duplicated(level), level]
        frame[f"{level}_alone"] = (first.map(frame[level].value_counts()) == 1).astype("float64")
    for child, parent in (("article_type", "sub_category"), ("sub_category", "master_category")):
        frame[f"{child}_misplaced"] = _misplaced(frame[child], frame[parent])


def _add_numbers(frame: pd.DataFrame, latest: pd.Timestamp) -> None:
    listed = frame["listed_at"]
    late = listed > latest
    frame["future_listing"] = finding(late, listed[late].astype(str))
    ahead = ((frame["year"].astype("float64") - listed.dt.year) > 1).fillna(False)
    years = frame.loc[ahead, "year"].astype(str), listed[ahead].dt.year.astype(str)
    frame["year_ahead"] = finding(ahead, "year " + years[0] + ", listed in " + years[1])
    price = frame["price"]
    frame["has_price"] = (price > 0).astype("float64")
    known = price[(price > 0) & (price < float("inf"))]
    low, high = known.quantile(list(PRICE_QUANTILES)) if len(known) else (1.0, 1.0)
    frame["price_spread"] = pd.Series(high / low, frame.index[:1])


def _spellings(labels: "pd.Series[Any]") -> tuple[dict[str, str], dict[str, str]]:
    """What is wrong with the labels that were decoded wrongly, and with those that are a rarer spelling of another."""
    counts = labels.value_counts()
    usual: dict[str, str] = {}
    for label in counts.index:
        usual.setdefault(normalise(label), label)
    spellings = {label: usual[normalise(label)] for label in counts.index} if len(usual) < len(counts) else {}
    rarer = {label: f"{label!r} is usually written {other!r}" for label, other in spellings.items() if other != label}
    return {label: repr(label) for label in counts.index if looks_misread(label)}, rarer


def _misplaced(child: "pd.Series[Any]", parent: "pd.Series[Any]") -> "pd.Series[Any]":
    known = pd.DataFrame({"child": child, "parent": parent}).dropna()
    usual = known.groupby("child")["parent"].agg(lambda parents: parents.mode().iat[0]) if len(known) else pd.Series(dtype=object)
    expected = child.map(usual)
    wrong = (parent != expected) & parent.notna() & expected.notna()
    return finding(wrong, child[wrong] + " under " + parent[wrong] + ", usually " + expected[wrong].astype(object))


def _said(text: str) -> str | None:
    return None if text.strip() in _SAYS_NOTHING else text


def _words(text: str) -> int | None:
    """Words with a letter or a digit in them, as far as a rule counts; none where the text is blank."""
    plain = clean_html(text)
    return sum(1 for _ in islice(_WORD.finditer(plain), MIN_DESCRIPTION_WORDS)) if plain else None


def _attributes_fault(value: str) -> str | None:
    try:
        parse_attributes(value)
    except CatalogueError as error:
        return str(error)
    return None


def _split_fault(value: str) -> str | None:
    return None if value in SPLITS else "is no split"
