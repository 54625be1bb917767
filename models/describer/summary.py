"""One description as the flat row that monitoring logs, and compares with the same rows of the training reference."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from catalog.catalogue import listing_of, records_of
from catalog.text import normalise
from models.describer.answers import Brief, Description
from models.describer.facts.extractor import NOT_ASKED

if TYPE_CHECKING:
    from models.describer.predictor import DescriberPredictor

REFERENCE_ROWS = 300
"""Validation products of the reference, at most: writing for each takes most of a second."""

INPUTS = ("title_length", "attribute_count", "fact_count", "article_type", "brand", "tone")
"""Columns that describe what came in; the others are of the answer."""

REFERENCE_SPEC: dict[str, Any] = {
    "numerical": ["title_length", "attribute_count", "fact_count", "seo_title_length", "coverage"],
    "categorical": ["article_type", "brand"],
    "text": [],
    "embedding": None,
    "prediction": [],
    "confidence": None,
}
"""What each column of the reference is (`reference.json`).

How long a description gets depends on the tone that clients ask for, which is no drift: tone, and what hangs on it, is logged and
not tested.
"""


def summarise(brief: Brief, answer: Description) -> dict[str, Any]:
    """The row for one answer; missing values are None. Lengths are characters."""
    listing, sentences = brief.listing, (*answer.description, *answer.bullets)
    said = {fact for part in answer.parts.values() for sentence in part for fact in sentence.facts if fact.name not in NOT_ASKED}
    given = len(said) + len(answer.unsaid)
    return {
        "title_length": len(normalise(listing.title or "")),
        "attribute_count": len(listing.attributes),
        "fact_count": given,
        "article_type": listing.categories.get("article_type"),
        "brand": listing.fields.get("brand"),
        "tone": brief.tone,
        "seo_title_length": len(answer.seo_title.text),
        "meta_description_length": len(answer.meta_description.text),
        "description_length": len(answer.text),
        "sentence_count": len(sentences),
        "coverage": len(said) / given if given else None,
        "keywords_refused": sum(not keyword.used for keyword in answer.keywords),
    }


def reference(predictor: "DescriberPredictor", validation: pd.DataFrame) -> list[dict[str, Any]]:
    """What descriptions of validation products look like, in a neutral tone."""
    products = validation.sample(min(REFERENCE_ROWS, len(validation)), random_state=0)
    told = [(row["product_id"], Brief(listing_of(row, None))) for row in records_of(products)]
    told = [(product_id, brief) for product_id, brief in told if predictor.describes(brief)]
    answers = predictor.predict([brief for _, brief in told])
    return [
        summarise(brief, answer) | {"product_id": str(product_id)}
        for (product_id, brief), answer in zip(told, answers, strict=True)
    ]
