"""Metrics that no process counts: the application database tells them to whoever is asked."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from database.errors import DatabaseError
from database.jobs import ENDED
from database.states import JobsInState, LastRun, jobs_by_state, last_runs
from monitoring.verdict import DriftVerdict

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STATES = ("queued", "running", *ENDED)
"""Of jobs; each has a sample, also where no job is in it."""
OPEN = ("queued", "running")


def exposition(url: str) -> bytes:
    """Jobs and drift in Prometheus' text format; without the database, that it cannot be read."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    families = list(_families(url))

    class Told(Collector):
        def collect(self) -> Iterator["Metric"]:
            yield from families

    registry = CollectorRegistry()
    registry.register(Told())
    return bytes(generate_latest(registry))


def _families(url: str) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    up = GaugeMetricFamily("vitrina_database_up", "Whether the application database can be read")
    try:
        jobs, runs = jobs_by_state(url), last_runs(url)
    except DatabaseError:
        up.add_metric([], 0)
        yield up
        return
    up.add_metric([], 1)
    yield up
    yield from _jobs(jobs, datetime.now(UTC))
    yield from _drift(runs)


def _jobs(jobs: Mapping[str, JobsInState], now: datetime) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    states = GaugeMetricFamily("vitrina_jobs", "Jobs that are kept, by state", labels=["state"])
    for state in STATES:
        states.add_metric([state], jobs[state].count if state in jobs else 0)
    yield states
    ages = [(now - jobs[state].oldest).total_seconds() for state in OPEN if state in jobs]
    oldest = GaugeMetricFamily("vitrina_oldest_job_seconds", "Age of the oldest job that waits or runs; 0 where none does")
    oldest.add_metric([], max([0.0, *ages]))
    yield oldest


def _drift(runs: Mapping[str, LastRun]) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    drifted = GaugeMetricFamily(
        "vitrina_model_drifted", "Whether the last look of monitoring found drift", labels=["model", "version"]
    )
    scores = GaugeMetricFamily(
        "vitrina_drift_score",
        "Largest effect (0 to 1) among the columns that drifted in the last look, or among all where none did",
        labels=["model", "version"],
    )
    looked = GaugeMetricFamily(
        "vitrina_drift_looked_timestamp_seconds",
        "When monitoring first looked at the newest window of a model",
        labels=["model", "version"],
    )
    for model, run in runs.items():
        labels = [model, str(run.version)]
        if run.verdict:
            verdict = read(run.verdict)
            drifted.add_metric(labels, int(verdict.drifted))
            scores.add_metric(labels, score(verdict))
        looked.add_metric(labels, run.created_at.timestamp())
    yield from (drifted, scores, looked)


def read(row: Mapping[str, Any]) -> DriftVerdict:
    """A verdict as `DriftVerdict.as_row` wrote it."""
    return DriftVerdict.model_validate({name: value for name, value in row.items() if name != "summary"})


def score(verdict: DriftVerdict) -> float:
    """One number of a verdict: how large the largest change is."""
    found = [(column.drifted, column.effect) for column in verdict.columns if column.effect is not None]
    drifted = [effect for changed, effect in found if changed]
    return max([0.0, *(drifted or [effect for _, effect in found])])
