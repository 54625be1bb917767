"""What a review says: whether its writer recommends the product, and the rating.

The logit of "recommended" begins at what a linear model says about the review's n-grams (`priors.linear`).

Shapes: R reviews, C width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from models.product.heads.head import Codec, HeadConfig, HeadContext, ReviewHead
from models.product.inputs import Reviews
from models.product.losses import anywhere, mean

RATING = 4.0
"""The rating that is expected of a review before it is read, about the mean of shops' reviews."""

LOWEST, HIGHEST = 1.0, 5.0


class SentimentConfig(HeadConfig):
    """Values of the sentiment head."""

    weight: float = Field(0.3, ge=0.0, description="weight of the cross-entropy of a review that recommends, and of its rating")
    rating: float = Field(0.1, ge=0.0, description="what the squared error of the rating counts beside that cross-entropy")

    @classmethod
    def head(cls) -> type["SentimentHead"]:
        """What these values are for."""
        return SentimentHead


@dataclass(frozen=True)
class SentimentOutput:
    """Logit of "recommended" and expected rating, both (R,)."""

    logit: Tensor
    rating: Tensor


@dataclass(frozen=True)
class Sentiment:
    """What a review says: the probability that its writer recommends the product, and the expected rating in 1…5."""

    recommended: float
    rating: float


@dataclass(frozen=True)
class SentimentAnswers:
    """Probability of "recommended" [n] and expected rating [n] in 1…5."""

    recommended: NDArray[np.float32]
    rating: NDArray[np.float32]

    def at(self, row: int) -> Sentiment:
        """Of one review."""
        return Sentiment(float(self.recommended[row]), float(self.rating[row]))


class SentimentHead(ReviewHead[SentimentOutput, SentimentAnswers]):
    """See the module."""

    name = "sentiment"

    def __init__(self, values: SentimentConfig, context: HeadContext) -> None:
        super().__init__(values, context)
        self.values = values
        self.layer = nn.Linear(context.width, 2)

    def weights(self) -> Mapping[str, float]:
        """Of both terms together."""
        return {"sentiment": self.values.weight}

    def reset_parameters(self) -> None:
        """The prior is the first answer."""
        nn.init.zeros_(self.layer.weight)

    def forward(self, state: Tensor, reviews: Reviews) -> SentimentOutput:
        """The prior's logit, moved, and the rating."""
        offset, rating = self.layer(state).float().unbind(-1)
        return SentimentOutput(reviews.prior + offset, rating + RATING)

    def losses(self, output: SentimentOutput, reviews: Reviews) -> dict[str, Tensor]:
        """Cross-entropy of "recommended", and a share of the squared error of the rating; nothing without labels."""
        known = ~reviews.recommended.isnan()
        if not anywhere(known):
            return {}
        loss = F.binary_cross_entropy_with_logits(output.logit, reviews.recommended.nan_to_num(), reduction="none")
        error = (output.rating - reviews.rating.nan_to_num()) ** 2
        return {"sentiment": mean(loss, known) + self.values.rating * mean(error, ~reviews.rating.isnan())}

    def answers(self, output: SentimentOutput) -> dict[str, Tensor]:
        """Recommended (R,), a logit, and rating (R,)."""
        return {"recommended": output.logit, "rating": output.rating}

    @classmethod
    def interpret(cls, answers: Mapping[str, NDArray[Any]], codec: Codec) -> SentimentAnswers:
        """A probability, and a rating within its bounds."""
        logits, ratings = (torch.from_numpy(answers[name]) for name in ("recommended", "rating"))
        return SentimentAnswers(logits.sigmoid().numpy(), ratings.clamp(LOWEST, HIGHEST).numpy())
