"""What the describer answers in bulk: texts for every product."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from catalog.catalogue import listing_of
from catalog.images import DecodedPhoto
from catalog.listing import Listing
from configs.schema import PositiveInt, ScoringConfig
from models.describer.answers import Brief, Description, Tone
from models.describer.predictor import DescriberPredictor
from models.family import Scorer


class DescriberScoringConfig(ScoringConfig):
    """How the texts are written."""

    shard_rows: PositiveInt = Field(
        512, description="rows of an output file; a text takes a hundred times as long as a prediction"
    )
    audience: str | None = Field(None, description="for whom, such as women")
    tone: Tone = Field("neutral", description="how they sound")
    seed: int = Field(0, ge=0, description="draws candidates; the same listing with the same seed gets the same texts")


class DescriberScorer:
    """A listing without its photo and its own description, which are not read."""

    table, key, photos = "products", "product_id", False
    config: type[ScoringConfig] = DescriberScoringConfig

    def schema(self, config: DescriberScoringConfig) -> pa.Schema:
        """Texts, and the given facts that none of them states."""
        texts = [(name, pa.string()) for name in ("article_type", "seo_title", "meta_description", "description")]
        return pa.schema([*texts, ("bullets", pa.list_(pa.string())), ("unsaid", pa.list_(pa.string()))])

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> Listing:
        """The listing."""
        return listing_of(record, None)

    def answer(
        self, predictor: DescriberPredictor, asked: Sequence[Listing], config: DescriberScoringConfig
    ) -> list[dict[str, Any]]:
        """See `models.family.Scorer`."""
        briefs = [Brief(listing, audience=config.audience, tone=config.tone, seed=config.seed) for listing in asked]
        return [_told(found) for found in predictor.predict(briefs)]


def _told(found: Description) -> dict[str, Any]:
    return {
        "article_type": found.article_type,
        "seo_title": found.seo_title.text,
        "meta_description": found.meta_description.text,
        "description": found.text,
        "bullets": [bullet.text for bullet in found.bullets],
        "unsaid": [f"{fact.name}: {fact.value}" for fact in found.unsaid],
    }


SCORERS: tuple[Scorer, ...] = (DescriberScorer(),)
