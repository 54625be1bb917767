"""What the database tells of the service's state, for monitoring."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from database.engine import reading
from database.tables import Job as JobTable
from database.tables import MonitorRun as MonitorRunTable


@dataclass(frozen=True)
class JobsInState:
    """How many jobs are in a state, and when the oldest of them was left."""

    count: int
    oldest: datetime


@dataclass(frozen=True)
class LastRun:
    """The newest look of monitoring at a model."""

    version: int

    verdict: Mapping[str, Any]
    created_at: datetime


def jobs_by_state(url: str) -> dict[str, JobsInState]:
    """Jobs by state; one that no job is in is not named."""
    query = select(JobTable.state, func.count(), func.min(JobTable.created_at)).group_by(JobTable.state)
    with reading(url) as connection:
        return {state: JobsInState(count, oldest) for state, count, oldest in connection.execute(query)}


def last_runs(url: str) -> dict[str, LastRun]:
    """The newest monitoring run of each model that has one."""
    newest = select(func.max(MonitorRunTable.id)).group_by(MonitorRunTable.model)
    query = select(MonitorRunTable.model, MonitorRunTable.version, MonitorRunTable.verdict, MonitorRunTable.created_at)
    with reading(url) as connection:
        rows = connection.execute(query.where(MonitorRunTable.id.in_(newest)))
        return {model: LastRun(version, verdict, created_at) for model, version, verdict, created_at in rows}
