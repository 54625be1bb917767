"""`imagegen`: images of products by their description, each with a score and with its provenance in the file."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from configs.schema import ServingConfig
from database.predictions import PredictionRow
from models.imagegen.answers import Prompt
from models.imagegen.summary import INPUTS, summarise
from serving.context import Context
from serving.drawing import draw
from serving.openapi import request_body, responses
from serving.replies import json_reply
from serving.requests import read
from serving.routes import _imagegen as answers
from serving.routes._imagegen import HEADERS, MODEL, PNG
from serving.slots import Answer

METHODS = ("predict",)
STAND_IN = None
LABELS: Mapping[str, Any] = {
    "image": Annotated[Literal["accepted", "rejected"], Field(description="what a person made of a drawn image")]
}


def waiting(config: ServingConfig) -> int:
    """Prompts that may wait; see `serving.routes.OneByOne`."""
    return config.images.max_waiting


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1/generate", tags=[MODEL])
    schema = answers.image_in(context.config.images)

    @routes.post(
        "/image",
        operation_id="generate_image",
        summary="An image of a product that a prompt describes",
        response_model=answers.Drawn,
        responses={200: _also_png(), **responses(400, 413, 415, 503, 504)},
        openapi_extra=request_body(schema),
    )
    async def generate(request: Request) -> Response:
        """The image as base64 in JSON, with its score and what it was drawn with; with `Accept: image/png` the file itself.

        The file says in its metadata that it was generated, by which version, from which prompt and seed. A prompt that the
        policy of the service does not let be drawn is refused with `prompt_refused` and the reason. A client that closes its
        connection ends the drawing.
        """
        start = time.perf_counter()
        body = await read(request, schema)
        prompt = answers.asked(body, context.config.images)
        answer = await draw(context, MODEL, prompt, request.receive)
        reply = await to_thread.run_sync(answers.drawn, answer, body.all_candidates)
        response = answers.as_png(reply) if answers.wants_png(request.headers.get("accept", "")) else json_reply(reply)
        response.headers["Vary"] = "Accept"
        response.background = BackgroundTask(_log, context, _since(start), reply.prediction_id, prompt, answer)
        return response

    return routes


def _also_png() -> dict[str, Any]:
    headers = {name: {"description": f"{what}; of a PNG", "schema": {"type": "string"}} for name, what in HEADERS.items()}
    return {"content": {PNG: {"schema": {"type": "string", "format": "binary"}}}, "headers": headers}


def _since(start: float) -> float:
    """Milliseconds."""
    return 1000 * (time.perf_counter() - start)


def _log(context: Context, latency_ms: float, prediction_id: str, prompt: Prompt, answer: Answer) -> None:
    summary = dict(summarise(prompt, answer.prediction))
    inputs = {name: summary.pop(name) for name in INPUTS}
    context.record(
        PredictionRow(
            id=prediction_id,
            model=MODEL,
            version=answer.version,
            endpoint="generate/image",
            latency_ms=latency_ms,
            inputs=inputs,
            outputs=summary,
        )
    )
