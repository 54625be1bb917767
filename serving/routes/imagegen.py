"""`imagegen`: images of products by their description, each with a score and with its provenance in the file."""

import time
from base64 import b64decode
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
from serving.jobs.leave import leave, leaving, may_be_left, most_items
from serving.kinds import Column, Kind, Steps, answered_by
from serving.openapi import one_of, request_body, responses, told
from serving.replies import json_reply
from serving.requests import JSON, preferred, read
from serving.routes import _imagegen as answers
from serving.routes._imagegen import HEADERS, MODEL, PNG, Drawn, ImageIn
from serving.slots import Answer

METHODS = ("predict",)
STAND_IN = None
COMPARED = ("/v1/generate/image",)
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
    several = answers.images_in(schema, most_items(context.config))

    @routes.post(
        "/image",
        operation_id="generate_image",
        summary="An image of a product that a prompt describes",
        response_model=answers.Drawn,
        responses={200: _also_png(), **responses(400, 413, 415, 503, 504), **may_be_left()},
        openapi_extra=one_of(request_body(schema), request_body(several)) | leaving(),
    )
    async def generate(request: Request) -> Response:
        """The image as base64 in JSON, with its score and what it was drawn with; with `Accept: image/png` the file itself.

        The file says in its metadata that it was generated, by which version, from which prompt and seed. A prompt that the
        policy of the service does not let be drawn is refused with `prompt_refused` and the reason. A client that closes its
        connection ends the drawing. A body with `items` asks for several images, which are drawn in a job.
        """
        start = time.perf_counter()
        if left := await leave(request, context, IMAGE, at_once=0):
            return left
        body = await read(request, schema)
        prompt = answers.asked(body, context.config.images)
        answer = await draw(context, MODEL, prompt, request.receive)
        reply = await to_thread.run_sync(answers.drawn, answer, body.all_candidates)
        response = answers.as_png(reply) if preferred(request, (JSON, PNG)) == PNG else json_reply(reply)
        response.headers["Vary"] = "Accept"
        response.background = BackgroundTask(lambda ms: context.record(_row(reply, prompt, answer, ms)), _since(start))
        return response

    return routes


def _also_png() -> dict[str, Any]:
    headers = {name: told(f"{what}; of a PNG") for name, what in HEADERS.items()}
    return {"content": {PNG: {"schema": {"type": "string", "format": "binary"}}}, "headers": headers}


def _since(start: float) -> float:
    """Milliseconds."""
    return 1000 * (time.perf_counter() - start)


def _row(reply: Drawn, prompt: Prompt, answer: Answer, latency_ms: float) -> PredictionRow:
    summary = dict(summarise(prompt, answer.prediction))
    inputs = {name: summary.pop(name) for name in INPUTS}
    return PredictionRow(
        id=reply.prediction_id,
        model=MODEL,
        version=answer.version,
        endpoint=IMAGE.name,
        latency_ms=latency_ms,
        inputs=inputs,
        outputs=summary,
    )


def _asked(body: ImageIn, config: ServingConfig, _: str = "") -> Prompt:
    return answers.asked(body, config.images)


def _drawn(body: ImageIn, answer: Answer) -> Drawn:
    return answers.drawn(answer, body.all_candidates)


IMAGE = Kind(
    name="generate/image",
    model=MODEL,
    item=ImageIn,
    batch=1,
    answer=answered_by({MODEL: Steps(_asked, _drawn, _row)}),
    bounded=lambda config: answers.image_in(config.images),
    check=_asked,
    columns={"png": Column("bytes", lambda result: b64decode(result["images"][0].pop("png")))},
)
KINDS = (IMAGE,)
