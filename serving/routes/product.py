"""`product`: categories, price, quality and embedding of a listing in any subset of its modalities; what a review says."""

import time
from collections.abc import Mapping, Sequence, Sized
from functools import partial
from typing import Annotated, Any, TypeVar

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from catalog.listing import CATEGORY_LEVELS, Listing
from database.predictions import PredictionRow
from models.product.cleaning import CleanReview, clean_review
from models.product.summary import summarise
from serving.context import Context
from serving.errors import InvalidInput
from serving.given import give
from serving.jobs.leave import leave, leaving, may_be_left, most_items
from serving.kinds import Column, Kind, Steps, answered_by
from serving.listings import read_listing
from serving.openapi import request_body, responses
from serving.replies import json_reply
from serving.requests import read
from serving.routes import _product as answers
from serving.routes._product import MODEL, BatchIn, CategoriesIn, Prediction, ReviewIn, ReviewsIn
from serving.schemas import Label, ListingIn, ResponseModel
from serving.search.browsing import browse
from serving.search.putting import PUT_PRODUCTS
from serving.search.routes import Catalogued, catalogue, search
from serving.slots import Answer

METHODS = ("predict", "predict_reviews", "place", "similar")
STAND_IN = None
COMPARED = (
    "/v1/multimodal/analyze",
    "/v1/multimodal/classify",
    "/v1/price/predict",
    "/v1/embeddings",
    "/v1/embeddings/batch",
    "/v1/sentiment/analyze",
    "/v1/search/similar",
)
LABELS: Mapping[str, Any] = {
    "master_category": Label,
    "sub_category": Label,
    "article_type": Label,
    "price": Annotated[float, Field(gt=0, le=1e12)],
}
OUTPUTS = ("predicted_article_type", "article_type_confidence", "predicted_price", "quality")
"""Columns of the summary that the model made; the others describe what came in."""

Body = TypeVar("Body", bound=ListingIn)


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1", route_class=Catalogued)
    _listings(context, routes)
    _reviews(context, routes)
    search(context, routes)
    browse(context, routes)
    catalogue(context, routes)
    return routes


def _listings(context: Context, routes: APIRouter) -> None:
    errors, unsupported = responses(400, 413, 415, 503, 504), responses(400, 413, 415, 501, 503, 504)
    listing_body, categories_body = request_body(ListingIn, form=True), request_body(CategoriesIn, form=True)

    async def one(request: Request, schema: type[Body]) -> tuple[Body, Listing, Answer]:
        body = await read(request, schema, form=True)
        [listing] = await context.listings([body])
        [answer] = await context.predict(MODEL, [listing])
        return body, listing, answer

    def reply(body: ResponseModel, endpoint: str, start: float, served: Sequence[tuple[Prediction, Listing, Answer]]) -> Response:
        latency_ms = 1000 * (time.perf_counter() - start)
        return json_reply(body, task=BackgroundTask(log, context, endpoint, latency_ms, served))

    @routes.post(
        "/multimodal/analyze",
        operation_id="analyze",
        tags=[MODEL],
        summary="All heads",
        response_model=answers.Analysis,
        responses=errors,
        openapi_extra=categories_body,
    )
    async def analyze(request: Request) -> Response:
        """Everything the model knows about one listing; what the version cannot say is null or empty, and named in left_out."""
        start = time.perf_counter()
        body, listing, answer = await one(request, CategoriesIn)
        analysis = answers.Analysis(
            **answers.head(answer),
            categories=answers.categories(answer, body.top_k),
            price=answers.price(answer),
            embedding=answers.embedding(answer),
            quality=answers.quality(answer),
            left_out=answers.left_out(answer),
        )
        return reply(analysis, "multimodal/analyze", start, [(analysis, listing, answer)])

    @routes.post(
        "/multimodal/classify",
        operation_id="classify",
        tags=[MODEL],
        summary="Categories",
        response_model=answers.Categories,
        responses=unsupported,
        openapi_extra=categories_body,
    )
    async def classify(request: Request) -> Response:
        """Category of one listing on three levels. 501 where the version that answers was trained without categories."""
        start = time.perf_counter()
        body, listing, answer = await one(request, CategoriesIn)
        answers.required(answer, "categories", *CATEGORY_LEVELS)
        labels = answers.Categories(**answers.head(answer), categories=answers.categories(answer, body.top_k))
        return reply(labels, "multimodal/classify", start, [(labels, listing, answer)])

    @routes.post(
        "/price/predict",
        operation_id="predict_price",
        tags=[MODEL],
        summary="Price",
        response_model=answers.PriceEstimate,
        responses=unsupported,
        openapi_extra=listing_body,
    )
    async def price(request: Request) -> Response:
        """Price of one listing; a price in the request is not looked at, known categories are.

        501 where the version that answers was trained without prices.
        """
        start = time.perf_counter()
        _, listing, answer = await one(request, ListingIn)
        answers.required(answer, "prices", "price")
        estimate = answers.PriceEstimate(**answers.head(answer), price=answers.price(answer))
        return reply(estimate, "price/predict", start, [(estimate, listing, answer)])

    @routes.post(
        "/embeddings",
        operation_id="embed",
        tags=[MODEL],
        summary="Embedding",
        response_model=answers.Embedding,
        responses=errors,
        openapi_extra=listing_body,
    )
    async def embed(request: Request) -> Response:
        """Embedding of one listing."""
        body = await read(request, ListingIn, form=True)
        return (await give(context, EMBED_BATCH.name, EMBED, MODEL, [body])).one()

    @routes.post(
        "/embeddings/batch",
        operation_id="embed_batch",
        tags=[MODEL],
        summary="Embeddings of several listings",
        response_model=answers.Embeddings,
        responses=errors | may_be_left(),
        openapi_extra=request_body(BatchIn, at_most={"items": most_items(context.config)}) | leaving(),
    )
    async def embed_batch(request: Request) -> Response:
        """Embeddings of several listings; one listing at fault refuses the request and is named, in a job it fails alone."""
        if left := await leave(request, context, EMBED_BATCH, alone=False):
            return left
        body = await read(request, BatchIn)
        return (await give(context, EMBED_BATCH.name, EMBED, MODEL, body.items, path="items")).several()


def _reviews(context: Context, routes: APIRouter) -> None:
    @routes.post(
        "/sentiment/analyze",
        operation_id="analyze_sentiment",
        tags=[MODEL],
        summary="What reviews say",
        response_model=answers.Opinions,
        responses=responses(400, 413, 415, 501, 503, 504),
        openapi_extra=request_body(ReviewsIn, at_most={"reviews": context.config.max_items}),
    )
    async def analyze_sentiment(request: Request) -> Response:
        """Whether the writers recommend the product, and the rating they would give.

        One empty review refuses the request and is named. 501 where the version that answers was trained without reviews.
        """
        body = await read(request, ReviewsIn)
        _check_count(body.reviews, context.config.max_items, "reviews", "reviews")
        reviews = await to_thread.run_sync(_cleaned, body.reviews)  # markup is stripped: no other request waits for it
        found = await context.predict(MODEL, reviews, "predict_reviews")
        opinions = [answers.opinion(answer) for answer in found]
        return json_reply(answers.Opinions(model=answers.served(found[0]), reviews=opinions))


def _check_count(items: Sized, limit: int, field: str, what: str) -> None:
    if len(items) > limit:
        raise InvalidInput(f"{field}: holds {len(items)} {what}; at most {limit} are allowed", field)


def _cleaned(reviews: Sequence[ReviewIn]) -> list[CleanReview]:
    cleaned = [clean_review(review.title, review.text) for review in reviews]
    for i, review in enumerate(cleaned):
        if not (review.title or review.text):
            raise InvalidInput(f"reviews.{i} says nothing; give a title or a text", f"reviews.{i}")
    return cleaned


def log(context: Context, endpoint: str, latency_ms: float, served: Sequence[tuple[Prediction, Listing, Answer]]) -> None:
    """Record predictions of this model for monitoring."""
    for reply, listing, answer in served:
        context.record(row(endpoint, reply, listing, answer, latency_ms))


def row(endpoint: str, reply: Prediction, listing: Listing, answer: Answer, latency_ms: float) -> PredictionRow:
    """What monitoring is told of a prediction of this model."""
    summary = dict(summarise(listing, answer.prediction))
    embedding = np.asarray(summary.pop("embedding"), dtype="<f4").tobytes()
    outputs = {name: summary.pop(name) for name in OUTPUTS}
    return PredictionRow(
        id=reply.prediction_id,
        model=MODEL,
        version=answer.version,
        endpoint=endpoint,
        latency_ms=latency_ms,
        inputs=summary,
        outputs=outputs,
        embedding=embedding,
    )


EMBED = Steps(read_listing, answers.embedded, partial(row, "embeddings"))
EMBED_BATCH = Kind(
    name="embeddings/batch",
    model=MODEL,
    item=ListingIn,
    batch=64,
    answer=answered_by({MODEL: EMBED}),
    kept=answers.Embedding,
    columns={"embedding": Column("numbers", lambda result: result.pop("embedding"))},
)
KINDS = (EMBED_BATCH, PUT_PRODUCTS)
