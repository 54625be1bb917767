"""Routes of jobs: look at one, list them, take what is done, watch it, cancel it."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from database.errors import NotFound as NoSuchRow
from database.jobs import ItemState, Job, cancel, find, items, newest
from serving.context import Context
from serving.errors import InvalidInput, NotFound
from serving.jobs import schemas
from serving.jobs.events import LAST, Streams, Watch, event_id
from serving.jobs.results import as_lines, as_parquet, pages
from serving.jobs.schemas import ended
from serving.kinds import Kind
from serving.openapi import in_path, in_query, responses, told
from serving.replies import json_reply
from serving.requests import EVENTS, JSON, asker, count, owner_of, preferred
from serving.storage import ask

LINES = "application/x-ndjson"
PARQUET = "application/vnd.apache.parquet"
COMPLETE = "Vitrina-Complete"
"""Header that says whether a job has ended, so that no more results will come."""
LISTED, MAX_LISTED = 50, 1000
PAGE, MAX_PAGE = 100, 1000
MAX_PLACE = 10**9 - 1
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_JOB = in_path("job_id", "from the answer that took it")

Found = TypeVar("Found")


def router(context: Context, kinds: Mapping[str, Kind], streams: Streams) -> APIRouter:
    """Routes of jobs of these kinds."""
    routes = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    _looks(context, routes)
    _results(context, routes, kinds)
    _events(context, routes, streams)
    return routes


async def _asked(call: Callable[[str, str, str], Job], context: Context, request: Request) -> Job:
    """What `call` says of the job that the address names.

    Raises:
        NotFound: there is no such job of this owner.
    """
    name = request.path_params["job_id"]
    try:
        if _ID.fullmatch(name):
            return await ask(call, context.settings.database_url, name, owner_of(request))
    except NoSuchRow:
        pass
    raise NotFound(f"there is no job {name[:100]!r}", "job_id")


def _looks(context: Context, routes: APIRouter) -> None:
    url = context.settings.database_url

    async def detailed(job: Job) -> schemas.JobDetail:
        failures = await ask(items, url, job.id, states=("failed",), limit=schemas.SHOWN) if job.failed else []
        return schemas.job_detail(job, failures)

    @routes.get(
        "",
        operation_id="list_jobs",
        summary="Jobs that were left",
        response_model=schemas.Jobs,
        responses=responses(400, 503),
        openapi_extra={"parameters": [in_query("limit", "jobs at most", LISTED, MAX_LISTED)]},
    )
    async def listed(request: Request) -> Response:
        """The newest first. Whoever asks with a key sees the jobs of that key."""
        found = await ask(newest, url, owner_of(request), count(request, "limit", LISTED, MAX_LISTED))
        return json_reply(schemas.Jobs(jobs=[schemas.job(job) for job in found]))

    @routes.get(
        "/{job_id}",
        operation_id="get_job",
        summary="How far a job is, and what failed",
        response_model=schemas.JobDetail,
        responses={200: {"headers": {"Retry-After": told("seconds after which to look again")}}, **responses(404, 503)},
        openapi_extra={"parameters": [_JOB]},
    )
    async def one(request: Request) -> Response:
        """State, progress, the version that answers, and the first items that failed, each with its place and why."""
        job = await _asked(find, context, request)
        response = json_reply(await detailed(job))
        if not ended(job):
            response.headers["Retry-After"] = str(schemas.RETRY_SECONDS)
        return response

    @routes.delete(
        "/{job_id}",
        operation_id="cancel_job",
        summary="Cancel a job",
        response_model=schemas.JobDetail,
        responses=responses(404, 503),
        openapi_extra={"parameters": [_JOB]},
    )
    async def cancelled(request: Request) -> Response:
        """What waits is not begun, what is done stays. A job that has ended stays as it is, however often this is asked."""
        return json_reply(await detailed(await _asked(partial(cancel, who=asker(request)), context, request)))


def _results(context: Context, routes: APIRouter, kinds: Mapping[str, Kind]) -> None:
    url = context.settings.database_url
    state = {
        "name": "state",
        "in": "query",
        "required": False,
        "description": "only items in this state",
        "schema": {"type": "string", "enum": ["done", "failed"]},
    }
    start = in_query("start", "the first place", 0, MAX_PLACE, least=0)
    limit = in_query("limit", f"items at most; all where it is not said, of a JSON page {PAGE}", None, MAX_PAGE)

    @routes.get(
        "/{job_id}/result",
        operation_id="get_job_result",
        summary="What is done of a job",
        response_model=schemas.JobResults,
        responses={200: _formats(), **responses(400, 404, 503)},
        openapi_extra={"parameters": [_JOB, state, start, limit]},
    )
    async def result(request: Request) -> Response:
        """The items that have ended, in the order of their places; while the job goes on those that are there.

        By the header Accept: lines of JSON, each as one of `items`; a Parquet file; or a page of JSON. A result is what the route
        of the kind answers for the item.
        """
        job = await _asked(find, context, request)
        states, first = _states(request), count(request, "start", 0, MAX_PLACE, least=0)
        most = count(request, "limit", None, MAX_PAGE)
        media = preferred(request, (LINES, PARQUET, JSON))
        headers = {COMPLETE: str(ended(job)).lower(), "Vary": "Accept"}
        if media == JSON:
            page = await ask(items, url, job.id, states=states, start=first, limit=most or PAGE)
            after = page[-1].place + 1 if len(page) == (most or PAGE) else None
            reply = schemas.job_results(job, page, after)
            return json_reply(reply, headers=headers)
        found = pages(url, job.id, states, first, most)
        if media == LINES:
            return StreamingResponse(as_lines(found), media_type=LINES, headers=headers)
        headers["Content-Disposition"] = f'attachment; filename="{job.id}.parquet"'
        return StreamingResponse(as_parquet(found, job, kinds.get(job.kind)), media_type=PARQUET, headers=headers)


def _states(request: Request) -> tuple[ItemState, ...]:
    said = request.query_params.get("state")
    states: dict[str | None, tuple[ItemState, ...]] = {None: ("done", "failed"), "done": ("done",), "failed": ("failed",)}
    if said not in states:
        raise InvalidInput("state: must be done or failed", "state")
    return states[said]


def _formats() -> dict[str, Any]:
    lines = {"type": "string", "description": "each line is one of `items`"}
    content = {LINES: {"schema": lines}, PARQUET: {"schema": {"type": "string", "format": "binary"}}}
    return {"content": content, "headers": {COMPLETE: told("true where the job has ended, so that no more will come")}}


def _events(context: Context, routes: APIRouter, streams: Streams) -> None:
    last = {
        "name": LAST,
        "in": "header",
        "required": False,
        "description": "of the last event that came; what it said is not sent again",
        "schema": {"type": "string"},
    }

    @routes.get(
        "/{job_id}/events",
        operation_id="watch_job",
        summary="Watch a job",
        response_class=Response,
        responses={
            200: {"content": {EVENTS: {"schema": {"type": "string"}}}, "description": "Server-sent events"},
            204: {"description": "The last event that came was the end: do not connect again"},
            **responses(404, 503),
        },
        openapi_extra={"parameters": [_JOB, last]},
    )
    async def watch(request: Request) -> Response:
        """An event `progress` whenever the job has moved on, and one `ended` at its end, each with the job as data.

        A client that comes back with `Last-Event-ID` gets what is new since. 503 where too many watch.
        """
        job, seen = await _asked(find, context, request), request.headers.get(LAST)
        if ended(job) and seen == event_id(job):
            return Response(status_code=204)
        return Watch(streams, context.settings.database_url, job, seen, context.config.jobs.heartbeat_seconds)
