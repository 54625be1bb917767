"""An answer's body as JSON: pydantic writes it, and nothing validates it again."""

from collections.abc import Mapping

from fastapi import Response
from starlette.background import BackgroundTask

from serving.schemas import ResponseModel


def json_reply(
    body: ResponseModel, status: int = 200, task: BackgroundTask | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`body`; `task` runs after it was sent."""
    return Response(body.model_dump_json(), status, headers, media_type="application/json", background=task)
