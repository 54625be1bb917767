"""Answers as models."""

from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from vitrina_client.errors import UnexpectedAnswer, request_id

Answer = TypeVar("Answer", bound=BaseModel)


def read(response: httpx.Response, answer: type[Answer], part: str | bytes | None = None) -> Answer:
    """The body of an answer, or a `part` of it.

    Raises:
        UnexpectedAnswer: it is something else.
    """
    try:
        return answer.model_validate_json(response.content if part is None else part)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or None
        raise UnexpectedAnswer(
            f"{response.url} answers what this client does not know: {field or 'the body'}: {problem['msg']}",
            code="unexpected_answer",
            status=response.status_code,
            field=field,
            request_id=request_id(response),
        ) from error
