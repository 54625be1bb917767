"""How a request becomes a job: because the client asks for it, or because it holds more than is answered at once."""

import hashlib
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from fastapi import Request, Response
from pydantic import Field, ValidationError
from pydantic_core import to_json

from configs.schema import ServingConfig
from database.errors import QueueFull, RequestReused
from database.jobs import Item, submit
from serving.context import Context
from serving.errors import InvalidInput, KeyReused, TooMany, detail, invalid
from serving.jobs import schemas
from serving.kinds import Kind
from serving.openapi import repeatable, responses, told
from serving.replies import json_reply
from serving.requests import ALIAS, IDEMPOTENCY_KEY, idempotency_key, owner_of, parsed, prefers_async
from serving.schemas import RequestModel
from serving.storage import ask

PREFER = "respond-async"


class LeftIn(RequestModel):
    """A body with several items, none of which is looked at yet."""

    items: list[Any] = Field(min_length=1)


def most_items(config: ServingConfig) -> int:
    """Items that a request of a kind may hold, at once or in a job."""
    return max(config.max_items, config.jobs.max_items)


async def leave(
    request: Request, context: Context, kind: Kind, *, at_once: int | None = None, alone: bool = True
) -> Response | None:
    """202 with the job that a request becomes; None where it is answered at once, or is refused by who reads it.

    In a job each item is read by itself: one at fault is a failed item. A form is always answered at once.

    Args:
        at_once: So many `items` are answered at once, `max_items` where it is not said; more become a job.
        alone: Whether the route takes an item without `items` as well.

    Raises:
        InvalidInput: no items, or more than a job may hold; or the challenger is asked, which does no jobs.
        KeyReused: the client asked for something else by the same Idempotency-Key.
        TooMany: too many jobs wait.
        Unavailable: the database cannot be written.
    """
    body, wanted, config = await parsed(request), prefers_async(request), context.config
    if not isinstance(body, dict) or ("items" not in body and not (alone and wanted)):
        return None
    limit = config.max_items if at_once is None else at_once
    if not wanted and 0 < limit >= _length(body["items"]):
        return None
    if not context.leaves:
        raise InvalidInput(f"{ALIAS}: work that is left as a job is done by the champion; ask for less at once", ALIAS)
    sent = _several(body, most_items(config)) if "items" in body else [body]
    items = await to_thread.run_sync(_read, kind, config, sent)
    try:
        job, _ = await ask(
            submit,
            context.settings.database_url,
            kind.name,
            items,
            owner=owner_of(request),
            request=idempotency_key(request),
            max_waiting=config.jobs.max_waiting,
        )
    except RequestReused as error:
        raise KeyReused(str(error), IDEMPOTENCY_KEY) from error
    except QueueFull as error:
        raise TooMany("too_many_jobs", str(error)) from error
    headers = {"Location": schemas.path(job.id), "Retry-After": str(schemas.RETRY_SECONDS)}
    return json_reply(schemas.job(job), 202, headers=headers | ({"Preference-Applied": PREFER} if wanted else {}))


def _length(items: Any) -> int:
    return len(items) if isinstance(items, list) else 0


def _several(body: dict[str, Any], most: int) -> list[Any]:
    try:
        items = LeftIn.model_validate(body, strict=True).items
    except ValidationError as error:
        raise invalid(error, LeftIn.model_fields) from error
    if len(items) > most:
        raise InvalidInput(f"items: holds {len(items)}; at most {most} are allowed", "items")
    return items


def _read(kind: Kind, config: ServingConfig, sent: Sequence[Any]) -> list[Item]:
    """Items of a job. Of one at fault only a digest is kept, by which a repetition of the request is known."""
    read = kind.reader(config)

    def item(place: int, one: Any) -> Item:
        try:
            read(one)
        except InvalidInput as error:
            digest = hashlib.sha256(to_json(one, inf_nan_mode="constants")).hexdigest()
            return Item(place=place, sent={"sha256": digest}, state="failed", error=detail(error))
        return Item(place=place, sent=one)

    return [item(place, one) for place, one in enumerate(sent)]


def leaving() -> dict[str, Any]:
    """`openapi_extra` of a route whose work may be left as a job."""
    prefer = {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": f"{PREFER} asks for a job, which is answered by 202 at once (RFC 7240)",
        "schema": {"type": "string", "enum": [PREFER]},
    }
    return {"parameters": [prefer, *repeatable()["parameters"]]}


def may_be_left() -> dict[int | str, dict[str, Any]]:
    """Documentation of the answers of such a route that have to do with jobs."""
    headers = {
        "Location": told("of the job"),
        "Retry-After": told("seconds after which to look at it"),
        "Preference-Applied": told(f"{PREFER}, where it was asked for"),
    }
    described = "Left as a job: it was asked for, or more items were sent than are answered at once"
    return {202: {"model": schemas.Job, "description": described, "headers": headers}, **responses(422, 429)}
