"""Any number of items in parts that the service takes, and what became of the items of a job."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vitrina_client.errors import ItemFailed, VitrinaError
from vitrina_client.models import ErrorDetail
from vitrina_client.sending import encoded, plain

MOST_ITEMS = 1000
"""Items of one request; the service leaves what is more than it answers at once as a job."""
MOST_BYTES = 7 * 1024 * 1024
"""Of the items of one request; the service takes 8 MiB."""

ITEM = r"\bitems\.(\d+)"

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Done(Generic[Answer]):
    """An item of a job that is done; `place` is its own in what was sent, from 0."""

    place: int
    result: Answer


@dataclass(frozen=True)
class Failure:
    """An item of a job that failed, and why; `place` is its own in what was sent, from 0."""

    place: int
    error: ErrorDetail


def parts(items: Iterable[Mapping[str, object]]) -> Iterator[tuple[int, list[Any]]]:
    """Items, as they are sent, in parts with the place of the first of each; an item that is too large stands alone."""
    start, part, size = 0, list[Any](), 0
    for place, item in enumerate(items):
        ready = plain(item, f"items.{place}")
        weight = len(encoded(ready)) + 1
        if part and (len(part) == MOST_ITEMS or size + weight > MOST_BYTES):
            yield start, part
            start, part, size = place, [], 0
        part.append(ready)
        size += weight
    if part:
        yield start, part


@contextmanager
def placed(start: int) -> Iterator[None]:
    """Errors of a part become errors of the whole, of which `start` items came before."""

    def place(found: re.Match[str]) -> str:
        return f"items.{int(found[1]) + start}"

    try:
        yield
    except VitrinaError as error:
        message, field = re.sub(ITEM, place, error.message), error.field and re.sub(ITEM, place, error.field)
        raise error.but(message, field) from error


def item_failed(failure: Failure) -> ItemFailed:
    """A failed item of a job as the error of a call that waited for it."""
    at = f"items.{failure.place}"
    field = f"{at}.{failure.error.field}" if failure.error.field else at
    return ItemFailed(f"{at}: {failure.error.message}", code=failure.error.code, field=field)
