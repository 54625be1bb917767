"""How a job is done: a few items after the other, and what came of them kept before the next begin.

What is done stands in the database, not here: whoever goes on with a job, after a kill or a restart, takes the items that wait.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from configs.errors import VitrinaError
from configs.schema import ServingConfig
from database import jobs
from database.errors import DatabaseError, NotFound, Unstorable
from database.jobs import Item, Job
from database.keys import name_of
from jobs.errors import Stopping
from jobs.models import Models, Source
from registry.errors import RegistryUnreachable
from serving.errors import ApiError, NotSupported
from serving.kinds import Done, Kind
from serving.slots import Loaded

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)

DEADLY = 3
"""Times `jobs.attempts`: so many tries of an item that nobody saw the end of are its own fault."""
LONGEST_WAIT = 5.0


class Work:
    """What a worker does of a job.

    Args:
        kinds: By name.
        stopping: Set when the worker is to end; nothing is begun from then on.
    """

    def __init__(
        self, url: str, config: ServingConfig, kinds: Mapping[str, Kind], source: Source, stopping: threading.Event
    ) -> None:
        self._url = url
        self._config = config
        self._kinds = kinds
        self.models = Models(source)
        self._stopping = stopping
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="compute")

    def begin(self, job_id: str, taker: str) -> Job | None:
        """Take a job, with the version that answers it to its end; None where there is nothing to do."""
        try:
            job = self._patiently(jobs.find, self._url, job_id)
        except NotFound:
            return None
        if job.state in jobs.ENDED:
            return None
        if job.kind not in self._kinds:
            known = ", ".join(sorted(self._kinds))
            self._fail(job_id, f"this worker does not know the kind {job.kind!r}; it knows: {known}")
            return None
        model, version = job.model, job.version
        if model is None or version is None:
            try:
                model, version = self._patiently(self.models.choose, self._kinds[job.kind])
            except VitrinaError as error:
                self._fail(job_id, str(error))
                return None
        job = self._patiently(jobs.begin, self._url, job_id, model, version, taker)
        if job.state != "running":  # cancelled in between
            return None
        # The future is the boundary at which any failure to load becomes the end of the job.
        failed = self._pool.submit(self._patiently, self.models.loaded, model, version).exception()
        if isinstance(failed, Stopping):
            raise failed
        if failed is not None:
            if not isinstance(failed, VitrinaError):
                logger.error("model %s version %s cannot be loaded", model, version, exc_info=failed)
            self._fail(job_id, f"model {model} version {version} cannot be loaded: {_one_line(failed)}")
            return None
        return job

    def batch(self, job: Job, taker: str) -> bool:
        """Do the next items of a job; False where none waits, or the job was cancelled or taken by another run.

        Items over which a worker died come last and alone: the one at fault, should there be one, takes no other with it.
        """
        kind = self._kinds[job.kind]
        items = self._patiently(jobs.take, self._url, job.id, kind.batch, taker)
        if not items:
            return False
        if items[0].attempts >= DEADLY * self._config.jobs.attempts:
            return self._keep(job, taker, {items[0].place: _given_up(items[0])}, items)
        assert job.model is not None and job.version is not None
        return self._do(job, taker, self.models.loaded(job.model, job.version), items)

    def finish(self, job_id: str) -> str:
        """The last word on a job; its state."""
        return self._patiently(jobs.finish, self._url, job_id).state

    def _do(self, job: Job, taker: str, loaded: Loaded, items: Sequence[Item]) -> bool:
        """Answer items whose try is counted; those that failed in a way that may pass are tried again alone."""
        kind, limits = self._kinds[job.kind], self._config.jobs
        if kind.writing:
            kind = kind.asked_by(self._patiently(name_of, self._url, job.owner), self._url)
        outcomes = self._outcomes(kind, loaded, items)
        again = [item for item in items if _may_pass(outcomes[item.place])]
        if not self._keep(job, taker, outcomes, [item for item in items if item not in again]):
            return False
        for item in again:
            for tried in range(1, limits.attempts):
                self._wait(limits.retry_seconds * 2 ** (tried - 1))
                if not self._patiently(jobs.attempt, self._url, job.id, [item.place], taker):
                    return False
                outcomes |= self._outcomes(kind, loaded, [item])
                if not _may_pass(outcomes[item.place]):
                    break
            if not self._keep(job, taker, outcomes, [item]):
                return False
        return True

    def _outcomes(self, kind: Kind, loaded: Loaded, items: Sequence[Item]) -> dict[int, Done | ApiError]:
        """What came of each item, by its place; where the whole fails, of each one alone is told by the next try."""
        read = kind.reader(self._config)
        outcomes: dict[int, Done | ApiError] = {}
        bodies: dict[int, Any] = {}
        for item in items:
            try:
                bodies[item.place] = read(item.sent)
            except ApiError as error:
                outcomes[item.place] = error
        if bodies:
            outcomes |= self._answered(kind, loaded, bodies)
        return outcomes

    def _answered(self, kind: Kind, loaded: Loaded, bodies: Mapping[int, Any]) -> dict[int, Done | ApiError]:
        def answer() -> list[Done | ApiError]:
            answers = kind.answer(loaded, self._config, list(bodies.values()))
            assert len(answers) == len(bodies), f"{len(answers)} answers for {len(bodies)} items"
            return answers

        # The future is the boundary at which any failure of a computation becomes the outcome of its items.
        call = self._pool.submit(answer)
        error = call.exception()
        if error is None:
            return dict(zip(bodies, call.result(), strict=True))
        if not isinstance(error, ApiError | VitrinaError):
            logger.error("%s: %d items failed together", kind.name, len(bodies), exc_info=error)
        return dict.fromkeys(bodies, _told(error))

    def _keep(self, job: Job, taker: str, outcomes: Mapping[int, Done | ApiError], items: Sequence[Item]) -> bool:
        if not items:
            return True
        ended = [_ended(item, outcomes[item.place]) for item in items]
        predictions = [row for item in items if isinstance(done := outcomes[item.place], Done) for row in done.rows]
        try:
            return self._patiently(jobs.keep, self._url, job.id, ended, predictions=predictions, taker=taker)
        except Unstorable as error:
            if len(items) > 1:
                return all(self._keep(job, taker, outcomes, [item]) for item in items)
            logger.error("job %s item %d: %s", job.id, items[0].place, error)
            return self._keep(job, taker, {items[0].place: _UNFORESEEN}, items)

    def _fail(self, job_id: str, detail: str) -> None:
        self._patiently(jobs.finish, self._url, job_id, detail)

    def _patiently(self, call: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """What `call` returns; a database, disk or registry that is away or full is waited for.

        Raises:
            Stopping: the worker is to end.
            VitrinaError: it stayed away.
        """
        until, wait = time.monotonic() + self._config.jobs.patience_seconds, self._config.jobs.retry_seconds
        while True:
            try:
                return call(*arguments, **named)
            except (NotFound, Unstorable):
                raise
            except (DatabaseError, RegistryUnreachable) as error:
                if time.monotonic() > until:
                    raise
                logger.warning("waiting: %s", error)
            self._wait(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopping


_UNFORESEEN = ApiError("an unexpected error happened; the worker's log has the details")


def _told(error: BaseException) -> ApiError:
    if isinstance(error, ApiError):
        return error
    return ApiError(str(error)) if isinstance(error, VitrinaError) else _UNFORESEEN


def _may_pass(outcome: Done | ApiError) -> bool:
    return isinstance(outcome, ApiError) and outcome.status >= 500 and not isinstance(outcome, NotSupported)


def _ended(item: Item, outcome: Done | ApiError) -> Item:
    if isinstance(outcome, Done):
        return replace(item, state="done", result=outcome.body.model_dump(mode="json", by_alias=True))
    error = {"code": outcome.code, "message": outcome.message, "field": outcome.field}
    return replace(item, state="failed", error=error)


def _given_up(item: Item) -> ApiError:
    error = ApiError(f"given up: {item.attempts} tries of this item ended with their worker")
    error.code = "worker_lost"
    return error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
