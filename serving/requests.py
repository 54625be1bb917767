"""A request's body as a schema instance: JSON, or a form with a file."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile

from database.audit import ANYONE
from database.jobs import OPEN
from serving.errors import InvalidInput, UnsupportedMediaType, invalid
from serving.schemas import RequestModel, identifier, one_line

Body = TypeVar("Body", bound=RequestModel)
Bodies = TypeVar("Bodies", bound=RequestModel)
Default = TypeVar("Default", int, None)

IDEMPOTENCY_KEY = "Idempotency-Key"
"""Header that names a request, so that its repetition is known as one."""
ALIAS = "Vitrina-Alias"
"""Header that says which version answers: champion, as without it, or challenger."""
KEY = r"^[!-~]{1,255}$"
JSON = "application/json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"
FORM_JSON = {"attributes": "a JSON object of names to values", "filters": "a JSON object", "vector": "a JSON array of numbers"}
"""Form fields whose text is JSON, and what it must be."""
MAX_SAID = 200
"""Characters of a text in the query of an address."""
_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 256 * 1024


async def read(request: Request, schema: type[Body], form: bool = False) -> Body:
    """The body as `schema`.

    Args:
        form: Also take multipart/form-data: one part a field, objects and lists as JSON, files as they are.

    Raises:
        ApiError: 400 with the offending field, 413 or 415.
    """
    kind = content_type(request)
    try:
        if kind == JSON:
            return schema.model_validate_json(await request.body(), strict=True)
        if form and kind == FORM:
            return schema.model_validate(await _form(request, schema))
    except ValidationError as error:
        raise invalid(error, schema.model_fields) from error
    allowed = f"{JSON} or {FORM}" if form else JSON
    raise UnsupportedMediaType(f"content type {kind[:100]!r} is not read here; allowed: {allowed}")


async def read_one_or_many(request: Request, one: type[Body], many: type[Bodies], key: str, form: bool = False) -> Body | Bodies:
    """A JSON body as `many` where it is an object with `key`, else as `one`; a form, where it is taken, as `one`.

    Raises:
        ApiError: 400 with the offending field, 413 or 415.
    """
    found = await parsed(request)
    return await read(request, many) if isinstance(found, dict) and key in found else await read(request, one, form)


async def parsed(request: Request) -> Any:
    """A JSON body as it is; None where it is none, of which `read` says where."""
    if content_type(request) != JSON:
        return None
    try:
        return from_json(await request.body())
    except ValueError:
        return None


def content_type(request: Request) -> str:
    """Of the body, without parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def owner_of(request: Request) -> str:
    """Whose jobs a request leaves and sees: the id of its key, or `OPEN`."""
    key: str | None = request.scope.get("state", {}).get("key")
    return key or OPEN


def asker(request: Request) -> str:
    """Who asks, for the audit trail: the name of the key, or the address where no key is asked for."""
    state = request.scope.get("state", {})
    who: str | None = state.get("who") or state.get("key")
    return who or ANYONE


def prefers_async(request: Request) -> bool:
    """Whether the header Prefer has respond-async (RFC 7240)."""
    said = ",".join(request.headers.getlist("prefer"))
    return any(part.partition(";")[0].strip().lower() == "respond-async" for part in said.split(","))


def preferred(request: Request, offered: Sequence[str]) -> str:
    """That of the `offered` media types which the header Accept prefers by quality; the first where it names none."""
    qualities: dict[str, float] = {}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        qualities[kind] = max(qualities.get(kind, 0.0), _quality(parameters))
    others = qualities.get("*/*", 0.0)
    return max(offered, key=lambda media: qualities.get(media, others))


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            return float(value) if value.replace(".", "", 1).isdigit() and value.isascii() else 0.0
    return 1.0


def idempotency_key(request: Request) -> str | None:
    """The name that a client, or the front of several workers, gave a request.

    Raises:
        InvalidInput: it is no name.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not re.fullmatch(KEY, key):
        raise InvalidInput(f"{IDEMPOTENCY_KEY}: must be 1 to 255 visible ASCII characters", IDEMPOTENCY_KEY)
    return key


def count(request: Request, name: str, default: Default, most: int, least: int = 1) -> int | Default:
    """A number from `least` to `most` that the query of the address holds; `default` where it does not.

    Raises:
        InvalidInput: it is no such number.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise InvalidInput(f"{name}: must be a whole number from {least} to {most}", name)
    return int(text)


def said(request: Request, name: str, most: int = MAX_SAID) -> str | None:
    """A short text that the query of the address holds; None where it holds none, or says nothing.

    Raises:
        InvalidInput: it is longer than `most` characters, or holds control characters.
    """
    text = request.query_params.get(name, "").strip()
    try:
        one_line(text)
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}", name) from error
    if len(text) > most:
        raise InvalidInput(f"{name}: has {len(text)} characters; at most {most} are allowed", name)
    return text or None


def an_id(request: Request, name: str) -> str | None:
    """A user's or an item's id, as text, that the query of the address holds; None where it holds none.

    Raises:
        InvalidInput: it is no id.
    """
    text = request.query_params.get(name)
    try:
        return None if text is None else str(identifier(text))
    except ValueError as error:
        raise InvalidInput(f"{name}: {error}", name) from error


async def _form(request: Request, schema: type[RequestModel]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    async with request.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES) as parts:
        for name, part in parts.multi_items():
            if name in values:
                raise InvalidInput(f"{name[:100]}: sent more than once", name[:100])
            if isinstance(part, UploadFile):
                _file_field(name, schema)
                values[name] = await part.read()
            elif part != "":
                values[name] = _as_json(name, part) if name in FORM_JSON else part
    return values


def _file_field(name: str, schema: type[RequestModel]) -> None:
    if name in schema.model_fields and name != "image":
        raise InvalidInput(f"{name}: must be text, not a file; only image may be a file", name)


def _as_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # one that is no JSON, or has a number of thousands of digits
        raise InvalidInput(f"{name}: must be {FORM_JSON[name]}", name) from error
