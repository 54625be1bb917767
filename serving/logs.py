"""Where the lines of a server's log go and what they look like; every line of a request holds its id."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from serving.about import now
from serving.observed import requests

IN_REQUEST = "in_request"
TEXT = f"%(asctime)s [%(levelname)s] %(name)s: %(message)s%({IN_REQUEST})s"
FIELDS = ("levelname", "name", "message")
NAMES = {"levelname": "level", "name": "logger"}
TALKATIVE = ("bentoml", "circus", "uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers of libraries that have handlers of their own."""


def configure(form: Literal["text", "json"]) -> None:
    """Write warnings, what `serving` says of its models and, as JSON, each request to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_named)
    if form == "json":
        hidden = [*RESERVED_ATTRS, IN_REQUEST]
        handler.setFormatter(JsonFormatter(FIELDS, timestamp="time", rename_fields=NAMES, reserved_attrs=hidden))
        for name in TALKATIVE:
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
    else:
        handler.setFormatter(logging.Formatter(TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("serving").setLevel(logging.INFO)
    requests.setLevel(logging.INFO if form == "json" else logging.CRITICAL)


def _named(record: logging.LogRecord) -> bool:
    """Give a line the id of the request that it is of."""
    about = now()
    setattr(record, IN_REQUEST, f" [request {about.request_id}]" if about else "")
    if about is not None:
        record.request_id = about.request_id
        if about.trace_id:
            record.trace_id = about.trace_id
    return True
