"""Every error of the API has one form: `{"error": {"code", "message", "field"}}`, the message one line."""

import logging
from collections.abc import Mapping
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match

from configs.errors import VitrinaError
from models.errors import NotSupported as CannotAnswer
from models.errors import Outdated, OutOfMemory
from serving.about import note

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""After so long a client should ask again where memory was not enough, or where each item takes seconds and too many wait."""


class ApiError(Exception):
    """An answer other than 200; subclasses fix status and code."""

    status = 500
    code = "internal"

    def __init__(self, message: str, field: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.field = field
        self.headers = dict(headers or {})


class InvalidInput(ApiError):
    """The request is understood and wrong."""

    status = 400
    code = "invalid_input"


class Unauthorized(ApiError):
    """Who asks is not known, or no more."""

    status = 401
    code = "unauthorized"


class Forbidden(ApiError):
    """Who asks is known, and may not ask this."""

    status = 403
    code = "forbidden"


class PromptRefused(InvalidInput):
    """The policy of this service does not let the prompt be drawn; the text is neither repeated nor logged."""

    code = "prompt_refused"


class NotFound(ApiError):
    """What the request names does not exist."""

    status = 404
    code = "not_found"


class OutdatedTask(ApiError):
    """What the request names exists and rests on another version than the one that answers: it must be taught again."""

    status = 409
    code = "outdated_task"


class NoChallenger(ApiError):
    """The request asks for the challenger, and there is none, or the service follows none."""

    status = 409
    code = "no_challenger"

    @classmethod
    def of(cls, model: str) -> Self:
        """That a model has none."""
        return cls(f"model {model} has no challenger that answers now; `vitrina train {model}` makes one")


class TooLarge(ApiError):
    """The body exceeds the configured size. Closes the connection: the rest of the body is not read."""

    status = 413
    code = "too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is larger than {limit} bytes", headers={"Connection": "close"})


class TooSlow(ApiError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the request body took longer than {seconds:g} s to arrive", headers={"Connection": "close"})


class UnsupportedMediaType(ApiError):
    """The content type or encoding is not one we read."""

    status = 415
    code = "unsupported_media_type"


class KeyReused(ApiError):
    """The request has the name of an earlier one that asked for something else."""

    status = 422
    code = "idempotency_key_reused"


class TooMany(ApiError):
    """So much of the kind is there already that no more is taken for now."""

    status = 429

    def __init__(self, code: str, message: str, retry_after_seconds: int = RETRY_SECONDS) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})
        self.code = code


class NotSupported(ApiError):
    """The request is right, and the version that answers cannot do it: sending it again does not help."""

    status = 501
    code = "not_supported"


class Unavailable(ApiError):
    """Not now: no model yet, or too many requests waiting."""

    status = 503

    def __init__(self, code: str, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})
        self.code = code


class ClientLeft(ApiError):
    """The client closed its connection before it was answered; nobody reads this, it is counted."""

    status = 499
    code = "client_left"


class TimedOut(ApiError):
    """The answer took longer than the configured time."""

    status = 504
    code = "timeout"


def refused(error: VitrinaError, where: str | None = None) -> ApiError:
    """What a model says no to, as an answer of the API; `where` is the place of the item in the body."""
    if isinstance(error, CannotAnswer):
        return NotSupported(str(error))
    if isinstance(error, Outdated):
        return OutdatedTask(str(error))
    if isinstance(error, OutOfMemory):  # the machine's state, not the request's fault: later it may fit
        return Unavailable("out_of_memory", str(error), retry_after_seconds=RETRY_SECONDS)
    return InvalidInput(f"{where}: {error}" if where else str(error), where)


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str = Field(description="stable, for programs", examples=["invalid_input"])
    message: str = Field(description="one line: what, where, what is allowed", examples=["price: Input should be greater than 0"])
    field: str | None = Field(None, description="path of the offending field", examples=["price"])


class ErrorBody(BaseModel):
    """The body of every answer that is not 2xx."""

    error: ErrorDetail


def detail(error: ApiError) -> dict[str, str | None]:
    """`error` as `ErrorDetail` says it."""
    return {"code": error.code, "message": error.message, "field": error.field}


def error_response(error: ApiError) -> JSONResponse:
    """`error` as a response."""
    note(error=error.code)
    body = {"error": detail(error)}
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def invalid(error: ValidationError, allowed: Mapping[str, Any]) -> InvalidInput:
    """The first problem of a pydantic error; `allowed` are the field names of the body, for the unknown-field message."""
    problem = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or None
    if problem["type"] == "extra_forbidden":
        message = f"unknown field {field!r}"
        if field in {str(problem["loc"][-1])}:
            message += f"; allowed: {', '.join(allowed)}"
    elif problem["type"] == "json_invalid":
        message, field = f"the body is not valid JSON: {problem['msg'].removeprefix('Invalid JSON: ')}", None
    else:
        text = problem["msg"].removeprefix("Value error, ")
        message = f"{field}: {text}" if field else text
    return InvalidInput(message[:500], field)


def _allowed(request: Request) -> list[str]:
    """Methods that the address of a request answers; the route that refused it knows only its own."""
    asked = {method: dict(request.scope) | {"method": method} for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")}
    routes: list[BaseRoute] = request.app.routes
    return [method for method, scope in asked.items() if any(route.matches(scope)[0] == Match.FULL for route in routes)]


_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def install(app: FastAPI) -> None:
    """Answer every failure of `app` in the API's form."""

    async def api_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return error_response(error)

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if "Allow" in headers:
            headers["Allow"] = ", ".join(_allowed(request))
        shaped = ApiError(f"{request.method} {request.url.path[:200]}: {error.detail}", headers=headers)
        shaped.status, shaped.code = error.status_code, _HTTP_CODES.get(error.status_code, "invalid_input")
        return error_response(shaped)

    async def left(_: Request, error: Exception) -> JSONResponse:
        return error_response(ClientLeft("the client left before its request was complete"))

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(ApiError("an unexpected error happened; the server's log has the details"))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ClientDisconnect, left)
    app.add_exception_handler(Exception, unexpected)
