"""`recommender`: items for a user or a visitor, with reasons, and the events that change the next answer."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from starlette.background import BackgroundTask

from database.errors import NotFound as NoSuchRow
from database.errors import OtherModel
from database.events import Past, insert_events, newest_events
from database.predictions import PredictionRow
from models.errors import NotSupported as CannotAnswer
from models.recommender.answers import Query
from models.recommender.summary import summarise
from serving.about import answered
from serving.context import Context
from serving.errors import InvalidInput, NotFound, refused
from serving.openapi import in_query, repeatable, request_body, responses
from serving.replies import json_reply
from serving.requests import count, idempotency_key, owner_of, read
from serving.routes import _recommender as answers
from serving.routes._recommender import MODEL, ChosenItem, RecommendationsIn
from serving.slots import Answer
from serving.storage import ask, tell

METHODS = ("recommend",)
STAND_IN = None
COMPARED = ("/v1/recommendations",)
LABELS: Mapping[str, Any] = {"item_id": ChosenItem}
OUTPUTS = ("shown", "shown_popularity", "top_reason", "predicted_item_id")
"""Columns of the summary that the model made; the others describe what came in."""
MAX_STORED = 200
"""Newest stored events of a user that an answer takes in."""
LISTED, MAX_LISTED = 10, 100


def without(items: Sequence[Query], hidden: frozenset[str]) -> list[Query]:
    """Queries that leave out what is deleted or hidden."""
    return [replace(query, exclude=hidden) for query in items] if hidden else list(items)


def router(context: Context) -> APIRouter:
    """Routes of this model."""
    routes = APIRouter(prefix="/v1", tags=[MODEL])
    _recommendations(context, routes)
    _users(context, routes)
    _events(context, routes)
    return routes


def _recommendations(context: Context, routes: APIRouter) -> None:
    async def stored(user_id: int | str | None) -> list[Past]:
        if user_id is None:
            return []
        return await ask(newest_events, context.settings.database_url, str(user_id), MAX_STORED)

    @routes.post(
        "/recommendations",
        operation_id="recommend",
        summary="Items for a user or a visitor",
        response_model=answers.Recommended,
        responses=responses(400, 413, 415, 503, 504),
        openapi_extra=request_body(RecommendationsIn),
    )
    async def recommend(request: Request) -> Response:
        """Items with the reasons for them.

        What is known of the user when the version was trained, the newest 200 events stored since, and `recent_items` count
        together. With neither a user nor items the answer is what is popular.
        """
        start = time.perf_counter()
        body = await read(request, RecommendationsIn)
        query = body.query(await stored(body.user_id))
        [answer] = await context.predict(MODEL, [query], "recommend")
        reply = answers.recommended(answer)
        latency_ms = 1000 * (time.perf_counter() - start)
        return json_reply(reply, task=BackgroundTask(_log, context, latency_ms, reply.prediction_id, query, answer))


def _users(context: Context, routes: APIRouter) -> None:
    @routes.get(
        "/recommendations/users",
        operation_id="list_users",
        summary="Some users to try it with",
        response_model=answers.KnownBuyers,
        responses=responses(400, 501, 503),
        openapi_extra={"parameters": [in_query("limit", "users at most", LISTED, MAX_LISTED)]},
    )
    async def list_users(request: Request) -> Response:
        """Users whose purchases the version knows, with the newest of these. 501 where it knows none."""
        limit = count(request, "limit", LISTED, MAX_LISTED)
        try:
            [answer] = await to_thread.run_sync(context.models[MODEL].slot.predict, [limit], "known_users")
        except CannotAnswer as error:
            raise refused(error) from error
        answered(MODEL, answer.version)
        return json_reply(answers.buyers(answer))


def _events(context: Context, routes: APIRouter) -> None:
    schema = answers.events_in(context.config.max_items)

    @routes.post(
        "/recommendations/events",
        operation_id="tell_events",
        status_code=201,
        summary="Say what users did",
        response_model=answers.Stored,
        responses=responses(400, 404, 413, 415, 503),
        openapi_extra=request_body(schema) | repeatable(),
    )
    async def tell_events(request: Request) -> Response:
        """Views, carts and purchases; each user's next recommendation takes them in, whichever worker answers.

        All are stored, or none. A purchase with the `prediction_id` of a recommendation is feedback on it as well. A request
        that is sent again with the same `Idempotency-Key` and the same events counts once.
        """
        body = await read(request, schema)
        rows = body.rows(datetime.now(UTC), idempotency_key(request), owner_of(request))
        try:
            new = await tell(insert_events, context.settings.database_url, rows, lambda model: model == MODEL)
        except (NoSuchRow, OtherModel) as error:
            at = next(i for i, row in enumerate(rows) if row.kind == "purchase" and row.prediction_id == error.name)
            refusal = NotFound if isinstance(error, NoSuchRow) else InvalidInput
            raise refusal(f"events.{at}: {error}", f"events.{at}.prediction_id") from error
        return json_reply(answers.Stored(count=len(rows), repeated=len(rows) - new), 201)


def _log(context: Context, latency_ms: float, prediction_id: str, query: Query, answer: Answer) -> None:
    summary = summarise(query, answer.prediction)
    outputs = {name: summary.pop(name) for name in OUTPUTS}
    context.record(
        PredictionRow(
            id=prediction_id,
            model=MODEL,
            version=answer.version,
            endpoint="recommendations",
            latency_ms=latency_ms,
            inputs=summary | {"asker": _asker(query)},
            outputs=outputs,
        )
    )


def _asker(query: Query) -> str | None:
    """The user without a name: monitoring counts answers to one user once, and a visitor (None) by itself."""
    return None if query.user_id is None else hashlib.sha256(str(query.user_id).encode()).hexdigest()[:16]
