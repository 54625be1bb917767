"""`product`: categories, price and embedding of a listing in any subset of its modalities."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from catalog.listing import Listing
from database.predictions import PredictionRow
from models.product.summary import summarise
from serving.context import Context
from serving.errors import InvalidInput
from serving.openapi import request_body, responses
from serving.requests import read
from serving.schemas import ListingIn, RequestModel, ResponseModel, Served, Word
from serving.slots import Answer

MODEL = "product"
LABELS: Mapping[str, Any] = {
    "master_category": Word,
    "sub_category": Word,
    "article_type": Word,
    "price": Annotated[float, Field(gt=0, le=1e12)],
}
MAX_LABELS = 5
OUTPUTS = ("predicted_article_type", "article_type_confidence", "predicted_price")
"""Columns of the summary that the model made; the others describe what came in."""


class CategoriesIn(ListingIn):
    """A listing, and how many labels to answer a level."""

    top_k: int = Field(3, ge=1, le=MAX_LABELS, description="labels a category level, most probable first")


class BatchIn(RequestModel):
    """Several listings in one request."""

    items: list[ListingIn] = Field(min_length=1)


class Label(ResponseModel):
    """A category and its calibrated probability."""

    label: str = Field(examples=["Sports Shoes"])
    probability: float = Field(examples=[0.93])


class Price(ResponseModel):
    """An estimate in the catalogue's currency; 90 % of true prices lie between low and high."""

    median: float = Field(examples=[3799.0])
    low: float = Field(examples=[2499.0])
    high: float = Field(examples=[5799.0])


class Prediction(ResponseModel):
    """What every answer says."""

    prediction_id: str = Field(description="names this prediction in POST /v1/feedback")
    model: Served
    modalities: list[str] = Field(description="what the model saw", examples=[["title", "image"]])


class Categories(Prediction):
    """Labels by category level."""

    categories: dict[str, list[Label]] = Field(description="by level: master_category, sub_category, article_type")


class PriceEstimate(Prediction):
    """The price head."""

    price: Price | None = Field(description="null where the model was trained without prices")


class Embedding(Prediction):
    """The embedding head."""

    embedding: list[float] = Field(description="1024 numbers, L2 norm 1; comparable within one model version only")


class Analysis(Embedding, PriceEstimate, Categories):
    """All heads."""


class Embeddings(ResponseModel):
    """One embedding an item, in order, all of one model version."""

    model: Served
    items: list[Embedding]


Body = TypeVar("Body", bound=ListingIn)


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1", tags=[MODEL])
    errors = responses(400, 413, 415, 503, 504)
    listing_body, categories_body = request_body(ListingIn, form=True), request_body(CategoriesIn, form=True)

    async def one(request: Request, schema: type[Body]) -> tuple[Body, Listing, Answer]:
        body = await read(request, schema, form=True)
        [listing] = await context.listings([body])
        [answer] = await context.predict(MODEL, [listing])
        return body, listing, answer

    def reply(body: ResponseModel, endpoint: str, start: float, served: Sequence[tuple[str, Listing, Answer]]) -> Response:
        latency_ms = 1000 * (time.perf_counter() - start)
        task = BackgroundTask(_log, context, endpoint, latency_ms, served)
        return Response(body.model_dump_json(), media_type="application/json", background=task)

    @routes.post(
        "/multimodal/analyze", summary="All heads", response_model=Analysis, responses=errors, openapi_extra=categories_body
    )
    async def analyze(request: Request) -> Response:
        """Everything the model knows about one listing."""
        start = time.perf_counter()
        body, listing, answer = await one(request, CategoriesIn)
        head = _head(answer)
        analysis = Analysis(**head, categories=_categories(answer, body.top_k), price=_price(answer), embedding=_vector(answer))
        return reply(analysis, "multimodal/analyze", start, [(analysis.prediction_id, listing, answer)])

    @routes.post(
        "/multimodal/classify", summary="Categories", response_model=Categories, responses=errors, openapi_extra=categories_body
    )
    async def classify(request: Request) -> Response:
        """Category of one listing on three levels."""
        start = time.perf_counter()
        body, listing, answer = await one(request, CategoriesIn)
        categories = Categories(**_head(answer), categories=_categories(answer, body.top_k))
        return reply(categories, "multimodal/classify", start, [(categories.prediction_id, listing, answer)])

    @routes.post("/price/predict", summary="Price", response_model=PriceEstimate, responses=errors, openapi_extra=listing_body)
    async def price(request: Request) -> Response:
        """Price of one listing; a price in the request is not looked at, known categories are."""
        start = time.perf_counter()
        _, listing, answer = await one(request, ListingIn)
        estimate = PriceEstimate(**_head(answer), price=_price(answer))
        return reply(estimate, "price/predict", start, [(estimate.prediction_id, listing, answer)])

    @routes.post("/embeddings", summary="Embedding", response_model=Embedding, responses=errors, openapi_extra=listing_body)
    async def embed(request: Request) -> Response:
        """Embedding of one listing."""
        start = time.perf_counter()
        _, listing, answer = await one(request, ListingIn)
        embedding = Embedding(**_head(answer), embedding=_vector(answer))
        return reply(embedding, "embeddings", start, [(embedding.prediction_id, listing, answer)])

    @routes.post(
        "/embeddings/batch",
        summary="Embeddings of several listings",
        response_model=Embeddings,
        responses=errors,
        openapi_extra=request_body(BatchIn),
    )
    async def embed_batch(request: Request) -> Response:
        """Embeddings of several listings; one listing at fault refuses the request and is named."""
        start = time.perf_counter()
        body = await read(request, BatchIn)
        if len(body.items) > context.config.max_items:
            raise InvalidInput(
                f"items: holds {len(body.items)} listings; at most {context.config.max_items} are allowed", "items"
            )
        listings = await context.listings(body.items, "items")
        answers = await context.predict(MODEL, listings)
        items = [Embedding(**_head(answer), embedding=_vector(answer)) for answer in answers]
        served = [(item.prediction_id, listing, answer) for item, listing, answer in zip(items, listings, answers, strict=True)]
        return reply(Embeddings(model=items[0].model, items=items), "embeddings/batch", start, served)

    return routes


def _head(answer: Answer) -> dict[str, Any]:
    return {
        "prediction_id": str(uuid.uuid4()),
        "model": Served(name=MODEL, version=answer.version),
        "modalities": list(answer.prediction.modalities),
    }


def _categories(answer: Answer, top_k: int) -> dict[str, list[Label]]:
    return {
        level: [Label(label=label, probability=round(float(probability), 6)) for label, probability in ranked[:top_k]]
        for level, ranked in answer.prediction.categories.items()
    }


def _price(answer: Answer) -> Price | None:
    estimate = answer.prediction.price
    return estimate and Price(median=round(estimate.median, 2), low=round(estimate.low, 2), high=round(estimate.high, 2))


def _vector(answer: Answer) -> list[float]:
    # Seven decimals keep float32's precision on a unit sphere and halve the size of the JSON.
    rounded: list[float] = np.round(answer.prediction.embedding.astype(np.float64), 7).tolist()
    return rounded


def _log(context: Context, endpoint: str, latency_ms: float, served: Sequence[tuple[str, Listing, Answer]]) -> None:
    for prediction_id, listing, answer in served:
        summary = dict(summarise(listing, answer.prediction))
        embedding = np.asarray(summary.pop("embedding"), dtype="<f4").tobytes()
        outputs = {name: summary.pop(name) for name in OUTPUTS}
        context.record(
            PredictionRow(
                id=prediction_id,
                model=MODEL,
                version=answer.version,
                endpoint=endpoint,
                latency_ms=latency_ms,
                inputs=summary,
                outputs=outputs,
                embedding=embedding,
            )
        )
