"""What the product model answers in bulk: category, price, quality and embedding of products, sentiment of reviews."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from catalog.catalogue import listing_of
from catalog.images import DecodedPhoto
from catalog.listing import CATEGORY_LEVELS, Listing
from configs.schema import ScoringConfig
from models.family import Scorer
from models.product.cleaning import CleanReview, clean_review
from models.product.predictor import ProductPrediction, ProductPredictor


class ProductScoringConfig(ScoringConfig):
    """What is told of a product."""

    embedding: bool = Field(False, description="whether its embedding is among the answers: 4 KB a product")


class ProductScorer:
    """A listing as it lies in the catalogue; its own category and price are inputs only where a head does not predict them."""

    table, key, photos = "products", "product_id", True
    config: type[ScoringConfig] = ProductScoringConfig

    def schema(self, config: ProductScoringConfig) -> pa.Schema:
        """Null where the version has no such task."""
        levels = [(level, pa.string()) for level in CATEGORY_LEVELS] + [(_sure(level), pa.float32()) for level in CATEGORY_LEVELS]
        numbers = [(name, pa.float64()) for name in ("price", "price_low", "price_high", "quality")]
        faults, seen = [("fault", pa.string()), ("fault_probability", pa.float32())], [("modalities", pa.list_(pa.string()))]
        vector = [("embedding", pa.list_(pa.float32()))] if config.embedding else []
        return pa.schema([*levels, *numbers, *faults, *seen, *vector])

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> Listing:
        """The listing."""
        return listing_of(record, photo)

    def answer(self, predictor: ProductPredictor, asked: Sequence[Listing], config: ProductScoringConfig) -> list[dict[str, Any]]:
        """See `models.family.Scorer`; `fault` is the likeliest of `catalog.corruption.KINDS`."""
        return [_told(found) | ({"embedding": found.embedding} if config.embedding else {}) for found in predictor.predict(asked)]


def _told(found: ProductPrediction) -> dict[str, Any]:
    row: dict[str, Any] = {"modalities": list(found.modalities)}
    for level, values in found.categories.items():
        if values:
            row[level], row[_sure(level)] = values[0]
    if found.price is not None:
        row |= {"price": found.price.median, "price_low": found.price.low, "price_high": found.price.high}
    if (quality := found.quality) is not None:
        fault, probability = max(quality.faults.items(), key=lambda entry: entry[1])
        row |= {"quality": quality.score, "fault": fault, "fault_probability": probability}
    return row


def _sure(level: str) -> str:
    return f"{level}_confidence"


class ReviewScorer:
    """Whether the writer of a review recommends the product, and the rating that the text sounds like."""

    table, key, photos = "reviews", "review_id", False
    config: type[ScoringConfig] = ScoringConfig

    def schema(self, config: ScoringConfig) -> pa.Schema:
        """Probability that the writer recommends it, and 1 to 5."""
        return pa.schema([("recommended", pa.float64()), ("rating", pa.float64())])

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> CleanReview:
        """The review's texts."""
        title, text = record.get("title"), record.get("review")
        return clean_review(title if isinstance(title, str) else None, text if isinstance(text, str) else None)

    def answer(self, predictor: ProductPredictor, asked: Sequence[CleanReview], config: ScoringConfig) -> list[dict[str, Any]]:
        """See `models.family.Scorer`."""
        return [{"recommended": found.recommended, "rating": found.rating} for found in predictor.predict_reviews(asked)]


SCORERS: tuple[Scorer, ...] = (ProductScorer(), ReviewScorer())
