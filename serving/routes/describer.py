"""`describer`: search title, meta description, description and bullets of a listing, which state only what it gives."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from configs.schema import ServingConfig
from database.predictions import PredictionRow
from models.describer.answers import Brief
from models.describer.summary import INPUTS, summarise
from serving.context import Context
from serving.given import give
from serving.jobs.leave import leave, leaving, may_be_left, most_items
from serving.kinds import Kind, Steps, answered_by
from serving.openapi import one_of, request_body, responses
from serving.requests import read_one_or_many
from serving.routes import _describer as answers
from serving.routes._describer import MODEL, BriefIn, Written
from serving.slots import Answer

METHODS = ("predict",)
STAND_IN = None
COMPARED = ("/v1/generate/description",)
LABELS: Mapping[str, Any] = {}

SEVERAL = 3.0
"""So many times `request_seconds` may several descriptions take: they are written one after the other."""


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1/generate", tags=[MODEL])
    several = answers.briefs_in(most_items(context.config))

    @routes.post(
        "/description",
        operation_id="generate_description",
        summary="Texts for a listing, or for several",
        response_model=answers.Written | answers.AllWritten,
        responses=responses(400, 413, 415, 503, 504) | may_be_left(),
        openapi_extra=one_of(request_body(BriefIn), request_body(several)) | leaving(),
    )
    async def describe(request: Request) -> Response:
        """Search title, meta description, description and bullets; each sentence names the facts of the listing that it states.

        A body with `items` asks for several listings, and is answered by as many `items`; one at fault refuses the request and is
        named; in a job it fails alone. They are written one after the other, so that many take a while. What is written in a
        title is only ever read as words of the product: nothing there gives orders.
        """
        if left := await leave(request, context, DESCRIPTION):
            return left
        body = await read_one_or_many(request, BriefIn, several, "items")
        if isinstance(body, BriefIn):
            return (await give(context, DESCRIPTION.name, WRITE, MODEL, [body])).one()
        return (await give(context, DESCRIPTION.name, WRITE, MODEL, body.items, path="items", times=SEVERAL)).several()

    return routes


def _row(item: Written, brief: Brief, answer: Answer, latency_ms: float) -> PredictionRow:
    summary = dict(summarise(brief, answer.prediction))
    inputs = {name: summary.pop(name) for name in INPUTS}
    return PredictionRow(
        id=item.prediction_id,
        model=MODEL,
        version=answer.version,
        endpoint=DESCRIPTION.name,
        latency_ms=latency_ms,
        inputs=inputs,
        outputs=summary,
    )


def _brief(body: BriefIn, _: ServingConfig, path: str = "") -> Brief:
    return answers.brief(body, path)


WRITE = Steps(_brief, lambda _, answer: answers.written(answer), _row)
DESCRIPTION = Kind(
    name="generate/description",
    model=MODEL,
    item=BriefIn,
    batch=4,
    answer=answered_by({MODEL: WRITE}),
    kept=answers.Written,
    check=_brief,
)
KINDS = (DESCRIPTION,)
