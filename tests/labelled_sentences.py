"""Sentences whose values somebody wrote down by hand, and the listings that they are of."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from catalog.listing import CATEGORICAL_FIELDS, CATEGORY_LEVELS, Listing
from catalog.text import clean_html

LABELS = Path(__file__).parent / "models" / "describer" / "labels.json"


@dataclass(frozen=True)
class Labelled:
    """A sentence: the values that it states and its listing gives, and those that it states and the listing does not give."""

    text: str
    listing: Listing
    given: tuple[str, ...]
    not_given: tuple[str, ...]


def listing_of(row: Any) -> Listing:
    """Of a row of products, its description left out."""
    return Listing(
        title=row.title,
        categories={name: row[name] for name in CATEGORY_LEVELS if pd.notna(row[name])},
        fields={name: str(row[name]) for name in CATEGORICAL_FIELDS if pd.notna(row[name])},
        attributes=json.loads(row.attributes) if row.attributes else {},
    )


def sentences_of(description: str) -> list[str]:
    """Parts of an HTML description between tags, then between full stops."""
    parts = (clean_html(part) for part in re.split(r"<[^<>]*>", description))
    told = (sentence.strip() for part in parts for sentence in re.split(r"(?<=[.!?])\s+", part))
    return [sentence for sentence in told if len(sentence.split()) > 2]


def made_up() -> list[Labelled]:
    """Those whose text stands in the file."""
    told = json.loads(LABELS.read_text())["made_up"]
    listings = {name: Listing(**fields) for name, fields in told["listings"].items()}
    return [_labelled(one["text"], listings[one["of"]], one) for one in told["sentences"]]


def real(products: pd.DataFrame) -> list[Labelled]:
    """Those of a real catalogue, which the file names by product and number."""
    rows = products.set_index("product_id")
    found = []
    for one in json.loads(LABELS.read_text())["real"]:
        row = rows.loc[one["product_id"]]
        found.append(_labelled(sentences_of(row.description)[one["sentence"]], listing_of(row), one))
    return found


def _labelled(text: str, listing: Listing, one: dict[str, Any]) -> Labelled:
    return Labelled(text, listing, tuple(one["given"]), tuple(one["not_given"]))
