"""What clients are told of their jobs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from database import jobs
from database.jobs import ENDED, JobState
from serving.errors import ErrorDetail
from serving.schemas import ResponseModel, Served

RETRY_SECONDS = 1
"""After so long a client should look again at a job that has not ended."""
SHOWN = 20
"""Failed items that a job names itself."""


class JobLinks(ResponseModel):
    """Where more is said, under this server's address."""

    job: str = Field(examples=["/v1/jobs/8c0f3c8e-4a4e-4f4e-9a53-0c6b0a6f1f0e"])
    result: str = Field(description="what is done so far, as lines of JSON, JSON or Parquet")
    failures: str = Field(description="of it what failed, all of it")
    events: str = Field(description="server-sent events while it is done")


class Job(ResponseModel):
    """Work that was left with the service."""

    id: str
    kind: str = Field(description="the route that would have answered at once", examples=["embeddings/batch"])
    state: JobState = Field(description="partly_failed where some items failed, failed where all did or the job as a whole")
    items: int = Field(description="that were sent", examples=[1000])
    done: int = Field(description="of them", examples=[640])
    failed: int = Field(description="of them", examples=[1])
    progress: float = Field(description="share of the items that have ended, 0 to 1", examples=[0.641])
    model: Served | None = Field(description="the version that answers all items; null until the job begins")
    detail: str | None = Field(description="why the job as a whole failed; else null")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks


class JobItem(ResponseModel):
    """An item of a job that has ended."""

    place: int = Field(description="in the request, from 0")
    state: Literal["done", "failed"]
    result: dict[str, Any] | None = Field(description="what the route answers for this item; null where it failed")
    error: ErrorDetail | None = Field(description="what the route answers to this item alone; null where it is done")


class JobDetail(Job):
    """A job, and the first items that failed."""

    failures: list[JobItem] = Field(description=f"the first {SHOWN} in the order of their places; links.failures has all")


class Jobs(ResponseModel):
    """Jobs, the newest first."""

    jobs: list[Job]


class JobResults(ResponseModel):
    """A page of what is done of a job."""

    job: Job
    complete: bool = Field(description="the job has ended: no more will come")
    items: list[JobItem] = Field(description="in the order of their places")
    next: int | None = Field(description="`start` of the next page; null where there is none yet")


def path(job_id: str) -> str:
    """Where a job is found."""
    return f"/v1/jobs/{job_id}"


def job(found: jobs.Job) -> Job:
    """A job as clients see it."""
    return Job(**_said(found))


def job_detail(found: jobs.Job, failures: Sequence[jobs.Item]) -> JobDetail:
    """A job with its first failures."""
    return JobDetail(**_said(found), failures=[job_item(item) for item in failures])


def job_item(item: jobs.Item) -> JobItem:
    """An item that has ended."""
    return JobItem.model_validate(line(item))


def job_results(found: jobs.Job, page: Sequence[jobs.Item], after: int | None) -> JobResults:
    """A page of results, and where the next one begins."""
    return JobResults(job=job(found), complete=ended(found), items=[job_item(item) for item in page], next=after)


def line(item: jobs.Item) -> dict[str, Any]:
    """`JobItem` as JSON values."""
    return {"place": item.place, "state": item.state, "result": item.result, "error": item.error}


def ended(found: jobs.Job) -> bool:
    """Whether nothing more will come."""
    return found.state in ENDED


def _said(found: jobs.Job) -> dict[str, Any]:
    here = path(found.id)
    version = None if found.model is None or found.version is None else Served(name=found.model, version=found.version)
    return {
        "id": found.id,
        "kind": found.kind,
        "state": found.state,
        "items": found.items,
        "done": found.done,
        "failed": found.failed,
        "progress": round((found.done + found.failed) / max(found.items, 1), 6),
        "model": version,
        "detail": found.detail,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "links": JobLinks(job=here, result=f"{here}/result", failures=f"{here}/result?state=failed", events=f"{here}/events"),
    }
