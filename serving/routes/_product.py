"""What clients send to the product model and get from it, and how answers are made of predictions."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from catalog.listing import CATEGORY_LEVELS
from configs.schema import FaultKind
from serving.errors import NotSupported
from serving.schemas import SAID, Count, Line, ListingIn, RequestModel, ResponseModel, Served, Text, at_least_one
from serving.slots import Answer

if TYPE_CHECKING:
    from models.product.heads.quality import QualityEstimate
    from models.product.heads.sentiment import Sentiment

MODEL = "product"
MAX_LABELS = 5
ASKED = (*CATEGORY_LEVELS, "price", "quality")
"""Tasks whose answers `Analysis` holds."""


class CategoriesIn(ListingIn):
    """A listing, and how many labels to answer a level."""

    top_k: Count = Field(3, ge=1, le=MAX_LABELS, description="labels a category level, most probable first")


class BatchIn(RequestModel):
    """Several listings in one request."""

    items: list[ListingIn] = Field(min_length=1)


class ReviewIn(RequestModel):
    """A customer's review; at least one of title and text, and more than markup."""

    model_config = ConfigDict(json_schema_extra=at_least_one({"title": SAID, "text": SAID}))

    title: Line | None = Field(None, examples=["Not what the photo shows"])
    text: Text | None = Field(
        None, description="plain text or HTML", examples=["Runs small and the colour faded after one wash. I sent it back."]
    )


class ReviewsIn(RequestModel):
    """Several reviews in one request."""

    reviews: list[ReviewIn] = Field(min_length=1)


class Label(ResponseModel):
    """A category and its calibrated probability."""

    label: str = Field(examples=["Sports Shoes"])
    probability: float = Field(examples=[0.93])


class Price(ResponseModel):
    """An estimate in the catalogue's currency; 90 % of true prices lie between low and high."""

    median: float = Field(examples=[3799.0])
    low: float = Field(examples=[2499.0])
    high: float = Field(examples=[5799.0])


class Fault(ResponseModel):
    """Something that may be wrong with a listing."""

    kind: FaultKind = Field(examples=["mismatched_image"])
    probability: float = Field(examples=[0.87])


class Quality(ResponseModel):
    """Whether the parts of a listing fit together."""

    score: float = Field(description="probability that nothing is wrong with the listing, 0 to 1", examples=[0.08])
    faults: list[Fault] = Field(description="every kind of fault, most probable first")


class Prediction(ResponseModel):
    """What every answer says."""

    prediction_id: str = Field(description="names this prediction in POST /v1/feedback")
    model: Served
    modalities: list[str] = Field(description="parts of the listing that the model saw", examples=[["title", "image"]])


class Categories(Prediction):
    """Labels by category level."""

    categories: dict[str, list[Label]] = Field(
        description="by level: master_category, sub_category, article_type; empty where the version has no such task"
    )


class PriceEstimate(Prediction):
    """The price head."""

    price: Price | None = Field(description="null where the version has no such task; POST /v1/price/predict then answers 501")


class Embedding(Prediction):
    """The embedding head."""

    embedding: list[float] = Field(description="1024 numbers, L2 norm 1; comparable within one model version only")


class Analysis(Embedding, PriceEstimate, Categories):
    """All heads that read listings."""

    quality: Quality | None = Field(
        description="null where the version has no such task; POST /v1/quality/assess then answers 501"
    )
    left_out: dict[str, str] = Field(
        default_factory=dict,
        description="tasks that this version has not, such as price, and what its training rows lacked for each",
        examples=[{"price": "no prices"}],
    )


class Embeddings(ResponseModel):
    """One embedding an item, in order, all of one model version."""

    model: Served
    items: list[Embedding]


class Opinion(ResponseModel):
    """What one review says."""

    sentiment: Literal["positive", "negative"] = Field(description="positive where recommended is at least 0.5")
    recommended: float = Field(description="probability that the writer recommends the product", examples=[0.04])
    rating: float = Field(description="expected rating, 1 to 5", examples=[2.1])


class Opinions(ResponseModel):
    """One opinion a review, in order, all of one model version."""

    model: Served
    reviews: list[Opinion]


def served(answer: Answer) -> Served:
    """The version that made an answer."""
    return Served(name=MODEL, version=answer.version)


def head(answer: Answer) -> dict[str, Any]:
    """Fields of `Prediction`, with a new id."""
    return {
        "prediction_id": str(uuid.uuid4()),
        "model": served(answer),
        "modalities": list(answer.prediction.modalities),
    }


def categories(answer: Answer, top_k: int) -> dict[str, list[Label]]:
    """The `top_k` labels of each level."""
    ranked: Mapping[str, list[tuple[str, float]]] = answer.prediction.categories
    return {
        level: [Label(label=label, probability=round(float(probability), 6)) for label, probability in best[:top_k]]
        for level, best in ranked.items()
    }


def price(answer: Answer) -> Price | None:
    """The estimate, to cents."""
    estimate = answer.prediction.price
    return estimate and Price(median=round(estimate.median, 2), low=round(estimate.low, 2), high=round(estimate.high, 2))


def embedding(answer: Answer) -> list[float]:
    """Seven decimals keep float32's precision on a unit sphere and halve the size of the JSON."""
    rounded: list[float] = np.round(answer.prediction.embedding.astype(np.float64), 7).tolist()
    return rounded


def embedded(_: ListingIn, answer: Answer) -> Embedding:
    """The answer for one listing."""
    return Embedding(**head(answer), embedding=embedding(answer))


def left_out(answer: Answer) -> dict[str, str]:
    """Tasks that the version has not, of those that listings are asked for, and why."""
    return {task: reason for task, reason in answer.prediction.lacks.items() if task in ASKED}


def required(answer: Answer, what: str, *tasks: str) -> None:
    """Check that the version has one of the tasks that a route is for; `what` names them.

    Raises:
        NotSupported: it has none of them; says what its training rows lacked.
    """
    reasons = [answer.prediction.lacks[task] for task in tasks if task in answer.prediction.lacks]
    if len(reasons) == len(tasks):
        raise NotSupported(f"this version was trained without {what}: its training rows had {', '.join(dict.fromkeys(reasons))}")


def quality(answer: Answer) -> Quality | None:
    """The score, and faults from the most probable on; None where it is no task of the version."""
    estimate: QualityEstimate | None = answer.prediction.quality
    if estimate is None:
        return None
    faults = [Fault.model_validate({"kind": kind, "probability": round(p, 6)}) for kind, p in estimate.faults.items()]
    faults.sort(key=lambda fault: -fault.probability)
    return Quality(score=round(estimate.score, 6), faults=faults)


def opinion(answer: Answer) -> Opinion:
    """What a review says."""
    said: Sentiment = answer.prediction
    recommended = round(said.recommended, 6)
    sentiment: Literal["positive", "negative"] = "positive" if recommended >= 0.5 else "negative"
    return Opinion(sentiment=sentiment, recommended=recommended, rating=round(said.rating, 2))
