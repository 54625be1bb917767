"""What the recommender answers in bulk: items for every user who bought something."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
from pydantic import Field

from catalog.images import DecodedPhoto
from configs.schema import PositiveInt, ScoringConfig, Share
from models.family import Scorer
from models.recommender.answers import Key, Query
from models.recommender.predictor import RecommenderPredictor


class RecommenderScoringConfig(ScoringConfig):
    """Within which bounds items are recommended."""

    top_k: PositiveInt = Field(10, description="items a user at most")
    diversity: Share = Field(0.0, description="0: by score alone; 1: as unlike each other as can be")
    exclude_bought: bool = Field(True, description="leave out what the user has bought")


class RecommenderScorer:
    """A user of the catalogue, answered from what the version learned of them; one that it does not know gets what is popular."""

    table, key, photos = "purchases", "user_id", False
    config: type[ScoringConfig] = RecommenderScoringConfig

    def schema(self, config: RecommenderScoringConfig) -> pa.Schema:
        """Ids of items as text, best first, their scores, and whether the version knows the user."""
        return pa.schema([("items", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())), ("known", pa.bool_())])

    def read(self, record: Mapping[str, Any], photo: DecodedPhoto | None) -> Key:
        """The user's id."""
        user: Key = record["user_id"]
        return user

    def answer(
        self, predictor: RecommenderPredictor, asked: Sequence[Key], config: RecommenderScoringConfig
    ) -> list[dict[str, Any]]:
        """See `models.family.Scorer`."""
        anyone = Query(num_recs=config.top_k, diversity=config.diversity, exclude_bought=config.exclude_bought)
        ranked = predictor.ranked([replace(anyone, user_id=user) for user in asked])
        keys = predictor.recommender.items.keys
        return [
            {"items": [str(keys[code]) for code in one.codes.tolist()], "scores": one.scores, "known": predictor.knows(user)}
            for user, one in zip(asked, ranked, strict=True)
        ]


SCORERS: tuple[Scorer, ...] = (RecommenderScorer(),)
