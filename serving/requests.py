"""A request's body as a schema instance: JSON, or a form with a file."""

import json
import re
from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile

from serving.errors import InvalidInput, UnsupportedMediaType, invalid
from serving.schemas import RequestModel

Body = TypeVar("Body", bound=RequestModel)
Bodies = TypeVar("Bodies", bound=RequestModel)

IDEMPOTENCY_KEY = "Idempotency-Key"
"""Header that names a request, so that its repetition is known as one."""
KEY = r"^[!-~]{1,255}$"
JSON = "application/json"
FORM = "multipart/form-data"
FORM_JSON = {"attributes": "a JSON object of names to values", "filters": "a JSON object", "vector": "a JSON array of numbers"}
"""Form fields whose text is JSON, and what it must be."""
_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 256 * 1024


async def read(request: Request, schema: type[Body], form: bool = False) -> Body:
    """The body as `schema`.

    Args:
        form: Also take multipart/form-data: one part a field, objects and lists as JSON, files as they are.

    Raises:
        ApiError: 400 with the offending field, 413 or 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == JSON:
            return schema.model_validate_json(await request.body(), strict=True)
        if form and kind == FORM:
            return schema.model_validate(await _form(request, schema))
    except ValidationError as error:
        raise invalid(error, schema.model_fields) from error
    allowed = f"{JSON} or {FORM}" if form else JSON
    raise UnsupportedMediaType(f"content type {kind[:100]!r} is not read here; allowed: {allowed}")


async def read_one_or_many(request: Request, one: type[Body], many: type[Bodies], key: str) -> Body | Bodies:
    """A JSON body as `many` where it is an object with `key`, else as `one`.

    Raises:
        ApiError: 400 with the offending field, 413 or 415.
    """
    try:
        found = from_json(await request.body())
    except ValueError:  # `read` says where it is no JSON
        found = None
    return await read(request, many if isinstance(found, dict) and key in found else one)


def idempotency_key(request: Request) -> str | None:
    """The name that a client, or the front of several workers, gave a request.

    Raises:
        InvalidInput: it is no name.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not re.fullmatch(KEY, key):
        raise InvalidInput(f"{IDEMPOTENCY_KEY}: must be 1 to 255 visible ASCII characters", IDEMPOTENCY_KEY)
    return key


def count(request: Request, name: str, default: int, most: int) -> int:
    """A number from 1 to `most` that the query of the address holds; `default` where it does not.

    Raises:
        InvalidInput: it is no such number.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise InvalidInput(f"{name}: must be a whole number from 1 to {most}", name)
    return int(text)


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
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{name}: must be {FORM_JSON[name]}", name) from error
