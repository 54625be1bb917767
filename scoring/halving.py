"""Ask about many things at once, and find those that cannot be answered: a batch that raises is halved."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from configs.errors import VitrinaError
from models.errors import NotSupported

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

BROKEN: tuple[type[Exception], ...] = (ValueError, ArithmeticError, LookupError, TypeError, RuntimeError)
"""What a model raises on a row that nobody thought of; `VitrinaError` is a ValueError."""


def halved(
    ask: Callable[[Sequence[Asked]], Sequence[Answer]],
    batch: Sequence[Asked],
    refused: tuple[type[Exception], ...] = (VitrinaError,),
) -> Iterator[tuple[Asked, Answer | Exception]]:
    """Each of `batch` with its answer or, of the kinds `refused`, what it raises when it is asked alone; in their order.

    Raises:
        NotSupported: it is no fault of what is asked.
    """
    if not batch:
        return
    try:
        found: Sequence[Answer | Exception] = ask(batch)
    except NotSupported:
        raise
    except refused as error:
        if len(batch) == 1:
            yield batch[0], error
            return
        middle = len(batch) // 2
        yield from halved(ask, batch[:middle], refused)
        yield from halved(ask, batch[middle:], refused)
        return
    yield from zip(batch, found, strict=True)


def why(error: Exception) -> str:
    """One line about what was asked alone."""
    line = " ".join(str(error).split())
    if isinstance(error, VitrinaError):
        return line.replace("listing 0", "the listing", 1).replace("review 0", "the review", 1)
    return f"{type(error).__name__}: {line[:200]}"
