"""`quality`: how good a listing is, by axis, and what would make it better; until a version is promoted `product` answers."""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from configs.schema import ServingConfig
from database.predictions import PredictionRow
from models.quality.answers import Candidate, Verdict
from models.quality.summary import INPUTS, summarise
from serving.context import Context
from serving.given import give
from serving.jobs.leave import leave, leaving, may_be_left, most_items
from serving.kinds import Kind, Steps, answered_by
from serving.listings import read_listing
from serving.openapi import one_of, request_body, responses
from serving.requests import read_one_or_many
from serving.routes import _product as product
from serving.routes import _quality as answers
from serving.routes._quality import MODEL, Assessment, CandidateIn
from serving.routes.product import row as row_of_product
from serving.slots import Answer

METHODS = ("predict",)
STAND_IN = product.MODEL
COMPARED = ("/v1/quality/assess",)
LABELS: Mapping[str, Any] = {"verdict": Annotated[Verdict, Field(description="whether the listing was published as it was")]}


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1/quality", tags=[MODEL])
    several = answers.candidates_in(most_items(context.config))

    @routes.post(
        "/assess",
        operation_id="assess_quality",
        summary="How good a listing is, or each of several, and what would make it better",
        response_model=answers.Assessment | answers.Assessments,
        responses=responses(400, 413, 415, 501, 503, 504) | may_be_left(),
        openapi_extra=one_of(request_body(CandidateIn, form=True), request_body(several)) | leaving(),
    )
    async def assess(request: Request) -> Response:
        """A score for each axis with what it rests on, an overall score with a verdict, and changes that would raise it.

        Every part that is sent is looked at, price and categories too. A body with `items` asks for several listings, and is
        answered by as many `items`; one at fault refuses the request and is named, in a job it fails alone. Until a version of
        `quality` is promoted `product` answers: whether the parts fit together, and which fault the listing most probably has;
        501 where its version was trained on listings that can carry no fault.
        """
        if left := await leave(request, context, ASSESS):
            return left
        body = await read_one_or_many(request, CandidateIn, several, "items", form=True)
        bodies, path = ([body], "") if isinstance(body, CandidateIn) else (body.items, "items")
        model = context.answering(MODEL, STAND_IN)
        given = await give(context, ASSESS.name, STEPS[model], model, bodies, path=path)
        return given.one() if isinstance(body, CandidateIn) else given.several()

    return routes


def _row(item: Assessment, candidate: Candidate, answer: Answer, latency_ms: float) -> PredictionRow:
    summary = dict(summarise(candidate, answer.prediction))
    inputs = {name: summary.pop(name) for name in INPUTS}
    return PredictionRow(
        id=item.prediction_id,
        model=MODEL,
        version=answer.version,
        endpoint=ASSESS.name,
        latency_ms=latency_ms,
        inputs=inputs,
        outputs=summary,
    )


def _candidate(body: CandidateIn, config: ServingConfig, path: str) -> Candidate:
    return Candidate(read_listing(body, config, path), body.product_id)


STEPS = {
    MODEL: Steps(_candidate, lambda _, answer: answers.by_quality(answer), _row),
    STAND_IN: Steps(read_listing, lambda _, answer: answers.by_product(answer), partial(row_of_product, "quality/assess")),
}
ASSESS = Kind(
    name="quality/assess",
    model=MODEL,
    item=CandidateIn,
    batch=16,
    answer=answered_by(STEPS),
    stand_in=STAND_IN,
    kept=answers.Assessment,
)
KINDS = (ASSESS,)
