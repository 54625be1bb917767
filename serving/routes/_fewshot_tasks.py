"""What clients have taught, between the database and the model: found, adapted, taught more, and adapted again.

Everything is in the database, as the next request may go to another worker; each only keeps what it has parsed. A version of a
task has a classifier for each version of the features that it was asked with. Where those that are served now have none, it is
made of the examples, if these are kept; or else the task says that it must be taught again. So no answer mixes two.
"""

import asyncio
import hashlib
import re
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from anyio import to_thread
from fastapi import Request

from database.errors import AlreadyDone, TaskMoved
from database.errors import NotFound as NoSuchRow
from database.fewshot import (
    AdaptedRow,
    ExampleRow,
    TaskRow,
    Taught,
    VersionRow,
    append_version,
    delete_task,
    find,
    find_request,
    find_state,
    insert_adapted,
    insert_task,
    kept_examples,
)
from models.bundles import BaseVersion
from models.fewshot.answers import Example, Lesson, Task
from models.fewshot.answers import OutdatedTask as RestsOnAnother
from serving.context import Context
from serving.errors import InvalidInput, NotFound, OutdatedTask
from serving.requests import idempotency_key
from serving.routes._fewshot import MODEL, AdaptIn, ExampleIn, check_labels, chosen, kept, restored
from serving.schemas import UUID
from serving.slots import Answer
from serving.storage import ask

PHOTO_SIDE = 256
"""Pixels of a photo's longer side at most, as much as the largest model reads: a request may bring 400 of them."""
_REQUESTS = uuid.UUID("6d1f2b0a-93f4-4d0e-8f35-5a2f6c1d7e44")
"""Namespace of the names of requests that came with an idempotency key."""

Question = Callable[[Task], tuple[Sequence[Any], str, str]]
"""What the model is asked about a task: items, the method of the predictor, and where the items stand in the body."""


class Teachable(Protocol):
    """What is asked of this model's predictor outside of a batch.

    Attributes:
        base: The version whose features it rests on.
        learners: Those that it has.
        false_rejection: Share of members that is called none of the classes.
    """

    base: BaseVersion
    learners: tuple[str, ...]
    false_rejection: float


@dataclass(frozen=True)
class Held:
    """A version of a task with its classifier for the features that are served."""

    taught: Taught
    adapted: AdaptedRow
    task: Task


class Tasks:
    """The tasks of one application."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._url = context.settings.database_url
        self._slot = context.models[MODEL].slot
        self._parsed = Parsed(context.config.tasks.cache_bytes)
        self._renewing = asyncio.Lock()  # those who wait for the same classifier find it made

    @property
    def served(self) -> Teachable:
        """The version that answers now.

        Raises:
            Unavailable: none does yet.
        """
        return cast(Teachable, self._slot.predictor)

    @property
    def digest(self) -> str | None:
        """That of the features that are served; None while no version answers."""
        return None if self._slot.version is None else self.served.base.digest

    async def done(self, request: str) -> tuple[Taught, AdaptedRow] | None:
        """What came of a request that was sent before."""
        taught = await ask(find_request, self._url, request)
        return None if taught is None else (taught, taught.adapted[-1])

    async def create(self, body: AdaptIn, request: str) -> tuple[Taught, AdaptedRow]:
        """A new task, adapted and stored.

        Raises:
            ApiError: the model refuses it, or something is away; then nothing is stored.
        """
        check_labels(body.examples, {}, self._context.config.tasks)
        learners = self.served.learners
        if body.learner is not None and body.learner not in learners:
            raise InvalidInput(f"learner: {body.learner!r} is none of this version; allowed: {', '.join(learners)}", "learner")
        lesson = Lesson(await self._examples(body.examples), learner=body.learner)
        [answer] = await self._context.predict(MODEL, [lesson], "adapt")
        task = TaskRow(id=request, name=body.name, learner=body.learner, keep_examples=bool(body.keep_examples))
        version = VersionRow(version=1, request=request, classes=answer.prediction.counts)
        state = await to_thread.run_sync(answer.prediction.to_bytes)
        try:
            await ask(insert_task, self._url, task, version, _adapted(answer), state, _kept(task, body.examples))
        except AlreadyDone:
            return await self._repeated(request)
        return Taught(task, version, (_adapted(answer),)), _adapted(answer)

    async def extend(self, task_id: str, body: AdaptIn, request: str) -> tuple[Taught, AdaptedRow]:
        """The next version of a task: what it knew, and the examples of `body`. Where others teach it at once all are in.

        Raises:
            NotFound: no such task.
            OutdatedTask: it rests on other features than are served, and keeps no examples.
            ApiError: the model refuses it, or something is away; then nothing is stored.
        """
        examples: list[Example] | None = None
        while True:  # each turn that is lost is another's version
            newest = await self.find(task_id)
            check_labels(body.examples, newest.version.classes, self._context.config.tasks)
            examples = examples or await self._examples(body.examples)
            held, [answer] = await self.asked(task_id, newest.version.version, _taught_more(examples))
            number = held.taught.version.version + 1
            version = VersionRow(version=number, request=request, classes=answer.prediction.counts)
            state = await to_thread.run_sync(answer.prediction.to_bytes)
            rows = _kept(held.taught.task, body.examples)
            try:
                await ask(append_version, self._url, task_id, version, _adapted(answer), state, rows)
            except TaskMoved:
                continue
            except AlreadyDone:
                return await self._repeated(request)
            except NoSuchRow as error:
                raise NotFound(str(error), error.name) from error
            return Taught(held.taught.task, version, (_adapted(answer),)), _adapted(answer)

    async def asked(self, task_id: str, version: int | None, question: Question) -> tuple[Held, list[Answer]]:
        """Answers of the model about a task; asked again where a swap of versions fell in between.

        Raises:
            NotFound: no such task or version.
            OutdatedTask: it rests on other features than are served, and keeps no examples.
            ApiError: the model refuses what it is asked, or something is away.
        """
        while True:
            held = await self._held(task_id, version)
            items, method, path = question(held.task)
            try:
                return held, await self._context.predict(MODEL, items, method, path)
            except OutdatedTask:
                if held.adapted.digest == self.digest:
                    raise

    async def find(self, task_id: str, version: int | None = None) -> Taught:
        """A version of a task, the newest where none is named.

        Raises:
            NotFound: no such task or version.
        """
        try:
            return await ask(find, self._url, known(task_id), version)
        except NoSuchRow as error:
            raise NotFound(str(error), error.name) from error

    async def delete(self, task_id: str, who: str) -> None:
        """Delete all of a task.

        Raises:
            NotFound: no such task.
        """
        try:
            await ask(delete_task, self._url, known(task_id), who)
        except NoSuchRow as error:
            raise NotFound(str(error), error.name) from error
        self._parsed.forget(task_id)

    async def _held(self, task_id: str, version: int | None) -> Held:
        taught = await self.find(task_id, version)
        row, outdated = chosen(taught, self.served.base.digest)
        return await self._renewed(taught) if outdated else await self._stored(taught, row)

    async def _stored(self, taught: Taught, row: AdaptedRow) -> Held:
        key = taught.task.id, taught.version.version, row.model_version
        task = self._parsed.get(key)
        if task is None:
            try:
                state = await ask(find_state, self._url, *key)
            except NoSuchRow as error:  # deleted a moment ago
                raise NotFound(str(error), error.name) from error
            task = await to_thread.run_sync(Task.from_bytes, state)
            self._parsed.put(key, task, len(state))
        return Held(taught, row, task)

    async def _renewed(self, outdated: Taught) -> Held:
        """The same version, adapted again from kept examples to the features that are served, and stored beside the others."""
        newest, task_id, version = outdated.adapted[0], outdated.task.id, outdated.version.version
        if not outdated.task.keep_examples:
            rests = BaseVersion(model=newest.base, version=newest.base_version, digest=newest.digest)
            raise OutdatedTask(f"task {task_id}: {RestsOnAnother(rests, self.served.base)}")
        async with self._renewing:
            taught = await self.find(task_id, version)
            row, still = chosen(taught, self.served.base.digest)
            if not still:
                return await self._stored(taught, row)
            rows = await ask(kept_examples, self._url, task_id, version)
            try:
                lesson = Lesson(await self._examples([restored(row) for row in rows]), learner=newest.learner)
                [answer] = await self._context.predict(MODEL, [lesson], "adapt")
            except InvalidInput as error:  # of what is kept, not of this request
                raise OutdatedTask(f"task {task_id} cannot be adapted again, teach it anew: {error.message}") from error
            row, state = _adapted(answer), await to_thread.run_sync(answer.prediction.to_bytes)
            try:
                await ask(insert_adapted, self._url, task_id, version, row, state)
            except NoSuchRow as error:  # deleted meanwhile
                raise NotFound(str(error), error.name) from error
        self._parsed.put((task_id, version, row.model_version), answer.prediction, len(state))
        return Held(taught, row, answer.prediction)

    async def _repeated(self, request: str) -> tuple[Taught, AdaptedRow]:
        """What a request came to that somebody else has just done."""
        done = await self.done(request)
        if done is None:
            raise NotFound(f"few-shot task {request!r} was deleted", "task_id")
        return done

    async def _examples(self, bodies: Sequence[ExampleIn]) -> list[Example]:
        listings = await self._context.listings(bodies, "examples", PHOTO_SIDE)
        return [Example(body.label, listing) for body, listing in zip(bodies, listings, strict=True)]


class Parsed:
    """The tasks that were asked last, by (task, version of it, version of the model); at most so many bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: OrderedDict[tuple[str, int, int], tuple[Task, int]] = OrderedDict()
        self._size = 0

    def get(self, key: tuple[str, int, int]) -> Task | None:
        """The task, if it is held."""
        if key not in self._tasks:
            return None
        self._tasks.move_to_end(key)
        return self._tasks[key][0]

    def put(self, key: tuple[str, int, int], task: Task, size: int) -> None:
        """Hold a task of `size` bytes, and let go of those that were asked longest ago."""
        self._drop(key)
        self._tasks[key] = task, size
        self._size += size
        while self._size > self._limit:
            self._drop(next(iter(self._tasks)))

    def forget(self, task_id: str) -> None:
        """Let go of all versions of a task."""
        for key in [key for key in self._tasks if key[0] == task_id]:
            self._drop(key)

    def _drop(self, key: tuple[str, int, int]) -> None:
        _, size = self._tasks.pop(key, (None, 0))
        self._size -= size


def known(task_id: str) -> str:
    """The id itself.

    Raises:
        NotFound: it is the id of no task.
    """
    if not re.fullmatch(UUID, task_id):
        raise NotFound(f"few-shot task {task_id[:100]!r} does not exist", "task_id")
    return task_id


async def name_of(request: Request) -> str:
    """A UUID for what a request makes: of its idempotency key and its body, so that its repetition has the same.

    Raises:
        InvalidInput: the key is none.
    """
    key = idempotency_key(request)
    if key is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_REQUESTS, f"{key} {hashlib.sha256(await request.body()).hexdigest()}"))


def _taught_more(examples: Sequence[Example]) -> Question:
    return lambda task: ([Lesson(examples, before=task)], "adapt", "")


def _adapted(answer: Answer) -> AdaptedRow:
    task: Task = answer.prediction
    return AdaptedRow(
        model_version=answer.version,
        learner=task.learner,
        base=task.base.model,
        base_version=task.base.version,
        digest=task.base.digest,
        measures=task.measures.model_dump(mode="json"),
    )


def _kept(task: TaskRow, examples: Sequence[ExampleIn]) -> list[ExampleRow]:
    return [kept(example) for example in examples] if task.keep_examples else []
