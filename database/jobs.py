"""Work that clients leave with the service: asked for here by name, done by a worker (`jobs/`), kept here item by item.

DBOS decides who does a job and goes on with it after a kill; what was sent and what came of it are rows of the application
database. A workflow's only argument is the id of its job. Rows of DBOS that say another serializer than its portable JSON are
refused: reading them would unpickle them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

JobState = Literal["queued", "running", "succeeded", "partly_failed", "failed", "cancelled"]
ENDED: tuple[JobState, ...] = ("succeeded", "partly_failed", "failed", "cancelled")
ItemState = Literal["waiting", "done", "failed"]
QUEUE = "work"
WORKFLOW = "do_job"
"""Names by which the service asks for a job and a worker knows it."""
OPEN = "anyone"
"""Owner of what is left with a service that asks for no keys."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One part of a job.

    Attributes:
        place: In the request, from 0.
        sent: JSON of what the client sent.
        attempts: How often it was tried.
        result: JSON of the answer, in the form that the route answers at once; None until it is done.
        error: `{"code", "message", "field"}` of what it failed with; None unless it did.
    """

    place: int
    sent: Any
    state: ItemState = "waiting"
    attempts: int = 0
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is known of a job.

    Attributes:
        kind: Route that would have answered at once, such as embeddings/batch.
        owner: Id of the key that left it, or `OPEN`.
        items: How many it has; `done` and `failed` of them have ended.
        detail: Why the job as a whole failed; one line.
        model: That answers its items, with `version`; None until it began.
    """

    id: str
    kind: str
    owner: str
    items: int
    done: int
    failed: int
    state: JobState
    detail: str | None
    model: str | None
    version: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def submit(
    url: str, kind: str, items: Sequence[Item], *, owner: str = OPEN, request: str | None = None, max_waiting: int = 100
) -> tuple[Job, bool]:
    """Leave a job; the same `request` of the same owner again is the same job, and the second value is False.

    Items that are known to be wrong come as failed. The rows are written before DBOS is told, and told again where a kill fell
    in between (see `untold`): a job whose id a client has seen is never lost and never done twice.

    Raises:
        RequestReused: the owner sent something else by this name before.
        QueueFull: `max_waiting` jobs wait or run.
        DatabaseError: unreachable; then nothing was left.
    """
    raise NotImplementedError


def find(url: str, job_id: str, owner: str | None = None) -> Job:
    """A job by its id, of `owner` where given.

    Raises:
        NotFound: there is none, or it belongs to another owner.
    """
    raise NotImplementedError


def cancel(url: str, job_id: str, owner: str | None = None) -> Job:
    """End a job: items that are computed now end or are thrown away, those that wait are not begun. One that has ended stays.

    Raises:
        NotFound: there is none, or it belongs to another owner.
    """
    raise NotImplementedError


def items(url: str, job_id: str, *, states: Sequence[ItemState] = (), start: int = 0, limit: int | None = None) -> list[Item]:
    """Items in the order of their places, of these states where any are named, from place `start` on."""
    raise NotImplementedError


def states(url: str) -> dict[JobState, int]:
    """How many jobs are in each state."""
    raise NotImplementedError


def begin(url: str, job_id: str, model: str, version: int) -> Job:
    """A worker takes the job; one that was begun before keeps its version.

    Raises:
        NotFound: it was forgotten.
    """
    raise NotImplementedError


def keep(url: str, job_id: str, outcomes: Sequence[Item]) -> bool:
    """Write what came of some items, in one transaction; False where the job was cancelled meanwhile, and nothing was written."""
    raise NotImplementedError


def finish(url: str, job_id: str, detail: str | None = None) -> Job:
    """The last word on a job, by its items: succeeded, partly_failed or failed; failed with `detail`. One that ended stays."""
    raise NotImplementedError


def untold(url: str) -> list[str]:
    """Jobs that wait and that DBOS does not know: whoever left them was killed in between. Tells DBOS now."""
    raise NotImplementedError


def forget(url: str, before: datetime) -> int:
    """Delete jobs that ended before; returns how many."""
    raise NotImplementedError
