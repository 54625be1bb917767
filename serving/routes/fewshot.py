"""`fewshot`: a classifier of a handful of examples, taught more later, that says when something is none of its classes."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from catalog.listing import Listing
from database.errors import NotFound as NoSuchRow
from database.fewshot import newest_tasks, versions
from database.predictions import PredictionRow
from models.fewshot.answers import Question, Task
from models.fewshot.summary import INPUTS, NONE_OF_THESE, summarise
from serving.context import Context
from serving.errors import InvalidInput, NotFound
from serving.openapi import in_path, in_query, repeatable, request_body, responses
from serving.replies import json_reply
from serving.requests import asker, count, read
from serving.routes import _fewshot as answers
from serving.routes._fewshot import AT_CREATION, LISTED, MAX_LISTED, MODEL, AdaptIn, ClassifiedItem
from serving.routes._fewshot_tasks import PHOTO_SIDE, Tasks, known, name_of
from serving.schemas import Label
from serving.slots import Answer
from serving.storage import ask

METHODS = ("adapt", "classify")
STAND_IN = None
COMPARED: Sequence[str] = ()
"""None: a task rests on the version that was taught it."""
LABELS: Mapping[str, Any] = {
    "label": Annotated[Label, Field(description=f"the class that it is, or {NONE_OF_THESE!r}", examples=["Kurtas"])]
}


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1/fewshot", tags=[MODEL])
    tasks = Tasks(context)
    _adapt(tasks, routes)
    _classify(context, tasks, routes)
    _stored(context, tasks, routes)
    return routes


def _adapt(tasks: Tasks, routes: APIRouter) -> None:
    taught_more: dict[int | str, dict[str, Any]] = {
        200: {"model": answers.Adapted, "description": "A task that existed was taught more"}
    }

    @routes.post(
        "/adapt",
        operation_id="adapt_fewshot",
        summary="A classifier of a few examples",
        status_code=201,
        response_model=answers.Adapted,
        responses=responses(400, 404, 409, 413, 415, 501, 503, 504) | taught_more,
        openapi_extra=request_body(AdaptIn) | repeatable(),
    )
    async def adapt(request: Request) -> Response:
        """Teach a new task (201), or one that exists more examples or classes (200): that is its next version.

        Both requests that teach a task at once are in the end result. A request that is sent again with the same
        `Idempotency-Key` and the same body teaches nothing twice, and gets the same answer. 409 where a task rests on features
        that are not served any more and keeps no examples; 501 where the version that answers has not the task's learner.
        """
        body = await read(request, AdaptIn)
        name = await name_of(request)
        false_rejection = tasks.served.false_rejection
        said = [field for field in AT_CREATION if getattr(body, field) is not None]
        if body.task_id is not None and said:
            raise InvalidInput(f"{said[0]}: is said when a task is made, and cannot be changed", said[0])
        found = await tasks.done(name)
        if found is None:
            found = await (tasks.create(body, name) if body.task_id is None else tasks.extend(body.task_id, body, name))
        reply = answers.adapted(*found, false_rejection)
        return json_reply(reply, 201 if body.task_id is None else 200)


def _classify(context: Context, tasks: Tasks, routes: APIRouter) -> None:
    schema = answers.classify_in(context.config.max_items)

    @routes.post(
        "/classify",
        operation_id="classify_fewshot",
        summary="Which of a task's classes listings are",
        response_model=answers.Classifications,
        responses=responses(400, 404, 409, 413, 415, 501, 503, 504),
        openapi_extra=request_body(schema),
    )
    async def classify(request: Request) -> Response:
        """Probabilities of the classes that a task was taught, or that a listing is none of these.

        One listing at fault refuses the request and is named. 409 where the task rests on features that are not served any more
        and keeps no examples; 501 where the version that answers has not the task's learner.
        """
        start = time.perf_counter()
        body = await read(request, schema)
        listings = await context.listings(body.items, "items", PHOTO_SIDE)
        held, found = await tasks.asked(
            body.task_id, body.version, lambda task: (_questions(task, listings), "classify", "items")
        )
        items = [answers.item(answer) for answer in found]
        reply = answers.Classifications(
            task_id=body.task_id,
            version=held.taught.version.version,
            model=answers.served(found[0].version),
            features=answers.features(held.adapted),
            items=items,
        )
        latency_ms = 1000 * (time.perf_counter() - start)
        return json_reply(reply, task=BackgroundTask(_log, context, latency_ms, items, _questions(held.task, listings), found))


def _stored(context: Context, tasks: Tasks, routes: APIRouter) -> None:
    url = context.settings.database_url
    task_id = in_path("task_id", "from the answer that made the task")

    @routes.get(
        "/tasks",
        operation_id="list_fewshot_tasks",
        summary="Tasks that were taught",
        response_model=answers.Tasks,
        responses=responses(400, 503),
        openapi_extra={"parameters": [in_query("limit", "tasks at most", LISTED, MAX_LISTED)]},
    )
    async def listed(request: Request) -> Response:
        """The newest task first, each as its newest version stands."""
        found = await ask(newest_tasks, url, count(request, "limit", LISTED, MAX_LISTED))
        digest = tasks.digest
        return json_reply(answers.Tasks(tasks=[answers.listed(taught, digest) for taught in found]))

    @routes.get(
        "/tasks/{task_id}",
        operation_id="get_fewshot_task",
        summary="A task and its versions",
        response_model=answers.TaskDetail,
        responses=responses(400, 404, 503),
        openapi_extra={"parameters": [task_id, in_query("limit", "versions at most", LISTED, MAX_LISTED)]},
    )
    async def one(request: Request) -> Response:
        """The newest version first, each with what it was taught and how well its classes are told apart."""
        wanted = known(request.path_params["task_id"])
        try:
            found = await ask(versions, url, wanted, count(request, "limit", LISTED, MAX_LISTED))
        except NoSuchRow as error:
            raise NotFound(str(error), error.name) from error
        return json_reply(answers.detail(found, tasks.digest))

    @routes.delete(
        "/tasks/{task_id}",
        operation_id="delete_fewshot_task",
        summary="Delete a task",
        status_code=204,
        response_class=Response,
        responses=responses(404, 503),
        openapi_extra={"parameters": [task_id]},
    )
    async def delete(request: Request) -> Response:
        """Delete all of it: every version, features, and texts and photos that are kept. No worker answers by it any more."""
        await tasks.delete(request.path_params["task_id"], asker(request))
        return Response(status_code=204)


def _questions(task: Task, listings: Sequence[Listing]) -> list[Question]:
    for place, listing in enumerate(listings):
        if task.photos is not None and listing.image is None:
            message = f"items.{place}.image: missing, and the learner of this task, {task.learner}, reads photos alone"
            raise InvalidInput(message, f"items.{place}.image")
    return [Question(task, listing) for listing in listings]


def _log(
    context: Context, latency_ms: float, items: Sequence[ClassifiedItem], questions: Sequence[Question], found: Sequence[Answer]
) -> None:
    for item, question, answer in zip(items, questions, found, strict=True):
        summary = dict(summarise(question, answer.prediction))
        inputs = {name: summary.pop(name) for name in INPUTS}
        context.record(
            PredictionRow(
                id=item.prediction_id,
                model=MODEL,
                version=answer.version,
                endpoint="fewshot/classify",
                latency_ms=latency_ms,
                inputs=inputs,
                outputs=summary,
            )
        )
