"""`quality`: how good a listing is, by axis, and what would make it better; until a version is promoted `product` answers."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from database.predictions import PredictionRow
from models.quality.answers import Candidate, Verdict
from models.quality.summary import INPUTS, summarise
from serving.context import Context
from serving.openapi import request_body, responses
from serving.replies import json_reply
from serving.requests import read
from serving.routes import _product as product
from serving.routes import _quality as answers
from serving.routes._quality import MODEL, CandidateIn
from serving.routes.product import log as log_product
from serving.slots import Answer

METHODS = ("predict",)
STAND_IN = product.MODEL
LABELS: Mapping[str, Any] = {"verdict": Annotated[Verdict, Field(description="whether the listing was published as it was")]}


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1/quality", tags=[MODEL])

    @routes.post(
        "/assess",
        operation_id="assess_quality",
        summary="How good a listing is, and what would make it better",
        response_model=answers.Assessment,
        responses=responses(400, 413, 415, 501, 503, 504),
        openapi_extra=request_body(CandidateIn, form=True),
    )
    async def assess(request: Request) -> Response:
        """A score for each axis with what it rests on, an overall score with a verdict, and changes that would raise it.

        Every part that is sent is looked at, price and categories too. Until a version of `quality` is promoted `product`
        answers: whether the parts fit together, and which fault the listing most probably has; 501 where its version was trained
        on listings that can carry no fault.
        """
        start = time.perf_counter()
        body = await read(request, CandidateIn, form=True)
        [listing] = await context.listings([body])
        if context.answering(MODEL, STAND_IN) == STAND_IN:
            [answer] = await context.predict(STAND_IN, [listing])
            product.required(answer, "faults", "quality")
            quality = product.quality(answer)
            assert quality is not None
            reply = answers.by_product(product.head(answer), quality)
            served = [(reply.prediction_id, listing, answer)]
            task = BackgroundTask(log_product, context, "quality/assess", _since(start), served)
            return json_reply(reply, task=task)
        candidate = Candidate(listing, body.product_id)
        [answer] = await context.predict(MODEL, [candidate])
        reply = answers.by_quality(answer)
        return json_reply(reply, task=BackgroundTask(_log, context, _since(start), reply.prediction_id, candidate, answer))

    return routes


def _since(start: float) -> float:
    """Milliseconds."""
    return 1000 * (time.perf_counter() - start)


def _log(context: Context, latency_ms: float, prediction_id: str, candidate: Candidate, answer: Answer) -> None:
    summary = dict(summarise(candidate, answer.prediction))
    inputs = {name: summary.pop(name) for name in INPUTS}
    context.record(
        PredictionRow(
            id=prediction_id,
            model=MODEL,
            version=answer.version,
            endpoint="quality/assess",
            latency_ms=latency_ms,
            inputs=inputs,
            outputs=summary,
        )
    )
