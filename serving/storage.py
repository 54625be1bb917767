"""The application database as routes ask it: off the event loop, and its failures are answers of the API."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import to_thread

from database.errors import AlreadyDone, CatalogFull, DatabaseError, NotFound, OtherModel, QueueFull, RequestReused, TaskMoved
from serving.errors import Unavailable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

WAITS = (0.2, 0.5, 1.0, 2.0)
"""Seconds between looks for a prediction that its worker has answered and may not have written yet."""


async def ask(call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
    """What `call` returns, in a thread.

    Raises:
        NotFound: a row that was named does not exist.
        OtherModel: a prediction that was named is of another model.
        AlreadyDone, TaskMoved: somebody else was first.
        QueueFull, RequestReused: a job is not taken.
        CatalogFull: clients have put as many products as they may.
        Unavailable: the database cannot be read or written.
    """
    try:
        return await to_thread.run_sync(lambda: call(*arguments, **named))
    except (NotFound, OtherModel, AlreadyDone, CatalogFull, TaskMoved, QueueFull, RequestReused):
        raise
    except DatabaseError as error:
        raise Unavailable("database_unavailable", str(error), 5) from error


async def tell(call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
    """`ask` something about predictions: one that is not there yet is waited for.

    Raises:
        NotFound: the prediction did not come.
        OtherModel: it is of another model.
        Unavailable: the database cannot be read or written.
    """
    for wait in WAITS:
        try:
            return await ask(call, *arguments, **named)
        except NotFound:
            await asyncio.sleep(wait)
    return await ask(call, *arguments, **named)
