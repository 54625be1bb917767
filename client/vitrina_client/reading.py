"""Answers as models."""

from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from vitrina_client.errors import UnexpectedAnswer, request_id
from vitrina_client.models import JobItem

Answer = TypeVar("Answer", bound=BaseModel)


class Lines:
    """Takes a body piece by piece, and gives its lines without their ends.

    A line ends with a line feed alone: texts may hold what Python's `splitlines` ends a line at as well, such as U+2028.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        """The lines that `piece` ends."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return [_line(one) for one in whole]

    def end(self) -> list[str]:
        """What came after the last end of a line, where something did."""
        return [_line(self._rest)] if self._rest else []


def _line(data: bytes) -> str:
    return data.removesuffix(b"\r").decode(errors="replace")


def read(response: httpx.Response, answer: type[Answer], part: str | None = None) -> Answer:
    """The body of an answer, or a `part` of it.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    try:
        return answer.model_validate_json(response.content if part is None else part)
    except ValidationError as error:
        field, said = _problem(error)
        raise UnexpectedAnswer(
            f"{response.url} answers what this client does not know: {said}",
            code="unexpected_answer",
            status=response.status_code,
            field=field,
            request_id=request_id(response),
        ) from error


def result(item: JobItem, answer: type[Answer]) -> Answer:
    """What is done of an item of a job.

    Raises:
        UnexpectedAnswer: it is something else; the job may be of another kind.
    """
    try:
        return answer.model_validate(item.result)
    except ValidationError as error:
        field, said = _problem(error)
        message = f"the result of item {item.place} is no {answer.__name__}: {said}"
        raise UnexpectedAnswer(message, code="unexpected_answer", field=field) from error


def _problem(error: ValidationError) -> tuple[str | None, str]:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or None
    return field, f"{field or 'the body'}: {problem['msg']}"
