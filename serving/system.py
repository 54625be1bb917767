"""Routes that belong to no model: health, metrics, the list of models, feedback."""

from collections.abc import Collection, Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, create_model

from database.errors import NotFound as NoSuchRow
from database.errors import OtherModel
from database.predictions import insert_feedback
from monitoring import metrics
from serving.challengers import Challengers
from serving.context import Context
from serving.errors import InvalidInput, NotFound
from serving.openapi import request_body, responses
from serving.replies import json_reply
from serving.requests import read
from serving.schemas import Models, ModelState, PredictionId, Readiness, RequestModel, ResponseModel, at_least_one
from serving.storage import tell


class Accepted(ResponseModel):
    """Answer of POST /v1/feedback."""

    prediction_id: str


def _states(context: Context, challengers: Challengers) -> list[ModelState]:
    return [served.slot.state(challengers.version(name)) for name, served in context.models.items()]


def health(context: Context, challengers: Challengers) -> APIRouter:
    """What orchestrators and Prometheus ask."""
    routes = APIRouter(tags=["health"])

    @routes.head("/livez", include_in_schema=False)  # which some load balancers ask
    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/livez", operation_id="get_livez", summary="The process answers")
    @routes.get("/healthz", operation_id="get_healthz", summary="The process answers")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @routes.head("/readyz", include_in_schema=False)
    @routes.get(
        "/readyz",
        operation_id="get_readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness}},
        summary="Can every model answer?",
    )
    async def ready() -> JSONResponse:
        slots = [served.slot for served in context.models.values()]
        able = [slot.version is not None for slot in slots if not slot.unpromoted]
        readiness = Readiness(ready=bool(able) and all(able), models=_states(context, challengers))
        return JSONResponse(readiness.model_dump(), status_code=200 if readiness.ready else 503)

    @routes.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        text = await to_thread.run_sync(metrics.exposition, context.settings.database_url)
        return Response(text, media_type=metrics.CONTENT_TYPE)

    return routes


def models(context: Context, challengers: Challengers) -> APIRouter:
    """What is served."""
    routes = APIRouter(prefix="/v1", tags=["models"])

    @routes.get(
        "/models",
        operation_id="list_models",
        response_model=Models,
        responses=responses(503),
        summary="Models, and the versions that answer",
    )
    async def listed() -> Models:
        return Models(models=_states(context, challengers))

    return routes


def feedback(context: Context, labels: Mapping[str, Any], of_models: Mapping[str, Collection[str]]) -> APIRouter:
    """True values for predictions that were answered; `labels` are all that are known, `of_models` names those of each model."""
    routes = APIRouter(prefix="/v1", tags=["feedback"])
    fields: dict[str, Any] = {name: (kind | None, None) for name, kind in labels.items()}
    known: type[RequestModel] = create_model("Labels", __base__=RequestModel, __doc__="True values; at least one.", **fields)
    told = at_least_one({label: {"not": {"type": "null"}} for label in labels})
    schema: type[Any] = create_model(
        "Feedback",
        __base__=RequestModel,
        __doc__="The truth about one prediction.",
        prediction_id=(PredictionId, ...),
        labels=(known, Field(examples=[{"article_type": "Sports Shoes"}], json_schema_extra=told)),
    )

    @routes.post(
        "/feedback",
        operation_id="send_feedback",
        response_model=Accepted,
        status_code=201,
        summary="Say what was true",
        responses=responses(400, 404, 413, 415, 503),
        openapi_extra=request_body(schema),
    )
    async def feed(request: Request) -> Response:
        """Monitoring measures error rates with it. A later value for a label replaces an earlier one.

        400 where the model that answered takes no such label.
        """
        body = await read(request, schema)
        values = body.labels.model_dump(exclude_none=True)
        if not values:
            raise InvalidInput(f"labels: give at least one of {', '.join(labels)}", "labels")
        try:
            await tell(
                insert_feedback,
                context.settings.database_url,
                body.prediction_id,
                values,
                lambda model: values.keys() <= set(of_models.get(model, values)),
            )
        except NoSuchRow as error:
            raise NotFound(str(error), "prediction_id") from error
        except OtherModel as error:
            allowed = of_models[error.model]
            wrong = next(label for label in values if label not in allowed)
            takes = f"takes {', '.join(allowed)}" if allowed else "takes no labels"
            raise InvalidInput(f"labels.{wrong}: {error}, which {takes}", f"labels.{wrong}") from error
        return json_reply(Accepted(prediction_id=body.prediction_id), 201)

    return routes
