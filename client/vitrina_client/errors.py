"""What a call raises; the classes stand for the statuses that a caller tells apart."""

from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import ClassVar, Self

import httpx
from pydantic import ValidationError

from vitrina_client.models import ErrorBody

REQUEST_ID = "X-Request-ID"


class VitrinaError(Exception):
    """A call that was not answered as asked.

    Attributes:
        status: HTTP status of the answer; None where there was none.
        code: The service's word for it, which stays the same between versions, or the client's own.
        message: One line: what, where, what is allowed.
        field: Path of the value at fault, such as items.3.title.
        request_id: By which the service's log knows the request.
        retry_after: Seconds after which the service says to ask again.
    """

    transient: ClassVar[bool] = False
    """Whether the same request may succeed a little later."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "unknown",
        status: int | None = None,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after

    def but(self, message: str, field: str | None) -> Self:
        """The same error in other words."""
        other = copy(self)
        other.args, other.message, other.field = (message,), message, field
        return other

    def __str__(self) -> str:
        status = f"{self.status} " if self.status else ""
        request = f" (request {self.request_id})" if self.request_id else ""
        return f"{status}{self.code}: {self.message}{request}"


class InvalidRequest(VitrinaError):
    """400: a value is wrong; `field` names it."""


class Unauthorized(VitrinaError):
    """401: no key, or one that does not hold (any more)."""


class Forbidden(VitrinaError):
    """403: the key does not allow this."""


class NotFound(VitrinaError):
    """404: what the request names does not exist."""


class Conflict(VitrinaError):
    """409: what the request names is in a state that does not allow it."""


class TooLarge(VitrinaError):
    """413: the body is larger than the service takes."""


class Unprocessable(VitrinaError):
    """422: the idempotency key was used for something else."""


class RateLimited(VitrinaError):
    """429: too many requests or jobs."""

    transient = True


class NotSupported(VitrinaError):
    """501: the version that answers cannot do it."""


class Unavailable(VitrinaError):
    """502, 503 and 504: not now."""

    transient = True


class ConnectionFailed(VitrinaError):
    """No answer: refused, broken off, or nothing came within the timeout."""

    transient = True


class UnexpectedAnswer(VitrinaError):
    """An answer that is not the API's: something else listens there, or the service is much newer than this client."""


class ItemFailed(VitrinaError):
    """An item of several failed; `field` names it."""


class JobFailed(VitrinaError):
    """A job that failed as a whole, or was cancelled; what was done before is still there."""


class Unfinished(VitrinaError):
    """A job that has not ended in the time that was given; it goes on."""


BY_STATUS: Mapping[int, type[VitrinaError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Unprocessable,
    429: RateLimited,
    501: NotSupported,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def refusal(response: httpx.Response) -> VitrinaError:
    """The error that an answer other than 2xx is."""
    kind = BY_STATUS.get(response.status_code, VitrinaError)
    try:
        said = ErrorBody.model_validate_json(response.content).error
        code, message, field = said.code, said.message, said.field
    except ValidationError:  # of a proxy in between
        code, message, field = f"http_{response.status_code}", f"{response.reason_phrase} from {response.url}", None
    return kind(
        message,
        code=code,
        status=response.status_code,
        field=field,
        request_id=request_id(response),
        retry_after=_seconds(response.headers.get("Retry-After")),
    )


def broken(error: httpx.RequestError) -> VitrinaError:
    """The error that a connection ended with."""
    said = f"{error.request.url}: {type(error).__name__}: {error}".removesuffix(": ")
    name = error.request.headers[REQUEST_ID]
    if isinstance(error, httpx.TimeoutException):
        return ConnectionFailed(said, code="timeout", request_id=name)
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ProxyError):
        return ConnectionFailed(said, code="connection", request_id=name)
    return VitrinaError(said, code="not_sent", request_id=name)


def request_id(response: httpx.Response) -> str | None:
    """By which the service knows a request."""
    said: str | None = response.headers.get(REQUEST_ID) or response.request.headers.get(REQUEST_ID)
    return said


def _seconds(said: str | None) -> float | None:
    """Of `Retry-After`, which is a number or a date."""
    if said is None:
        return None
    if said.strip().isdecimal():
        return float(said)
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())
