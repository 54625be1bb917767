"""Prometheus metrics of the HTTP service.

Several worker processes are counted together when `PROMETHEUS_MULTIPROC_DIR` names a folder they share, as `bentoml serve`
sets it: each writes its own files there, and whichever worker is asked adds them up. The variable is read when
prometheus_client is imported, so that happens on the first use of this module and not on its import.
"""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import psutil

from monitoring import stored

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_WAITS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class _Metrics:
    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        of = self.registry
        answered = ("model", "version")
        self.requests = Counter("vitrina_requests_total", "Requests answered", ("endpoint", "status"), registry=of)
        self.answers = Counter(
            "vitrina_answers_total",
            "Requests that a version of a model answered, or failed at",
            ("endpoint", "status", *answered),
            registry=of,
        )
        self.seconds = Histogram(
            "vitrina_request_seconds",
            "Time to the last byte of an answer",
            ("endpoint", *answered),
            buckets=_SECONDS,
            registry=of,
        )
        self.in_progress = Gauge(
            "vitrina_requests_in_progress",
            "Requests that are not answered yet; health, metrics and streams that have begun aside",
            multiprocess_mode="livesum",
            registry=of,
        )
        self.refused = Counter(
            "vitrina_requests_refused_total", "Requests that keys or rates did not let in", ("reason",), registry=of
        )
        self.batch = Histogram(
            "vitrina_prediction_batch_size", "Listings, or reviews, a forward pass", ("model",), buckets=_SIZES, registry=of
        )
        self.forward = Histogram(
            "vitrina_forward_seconds", "Time of a forward pass over a batch", ("model",), buckets=_SECONDS, registry=of
        )
        self.waited = Histogram(
            "vitrina_queue_wait_seconds", "Time that an item waited for its batch", ("model",), buckets=_WAITS, registry=of
        )
        self.waiting = Gauge(
            "vitrina_queue_length", "Items that wait for a batch", ("model",), multiprocess_mode="livesum", registry=of
        )
        self.lost = Counter(
            "vitrina_workers_lost_total", "Requests asked again, or given up, because their worker ended", registry=of
        )
        self.info = Gauge(
            "vitrina_model_info",
            "Workers that answer with this version",
            ("model", "version"),
            multiprocess_mode="livesum",
            registry=of,
        )
        self.loading = Gauge(
            "vitrina_model_loading",
            "Workers that load a version beside the one that answers",
            ("model",),
            multiprocess_mode="livesum",
            registry=of,
        )
        self.swaps = Counter("vitrina_model_swaps_total", "Versions loaded by a worker", ("model",), registry=of)
        self.failures = Counter(
            "vitrina_model_load_failures_total", "Looks at the registry or loads that failed", ("model",), registry=of
        )
        self.stale = Gauge(
            "vitrina_model_stale",
            "Workers that answer with another version than champion, or do not know",
            ("model",),
            multiprocess_mode="livesum",
            registry=of,
        )
        self.written = Counter("vitrina_predictions_logged_total", "Predictions written to the database", registry=of)
        self.dropped = Counter(
            "vitrina_predictions_dropped_total", "Predictions answered and never logged: the queue was full", registry=of
        )
        self.queue = Gauge(
            "vitrina_prediction_log_queue", "Predictions waiting to be written", multiprocess_mode="livesum", registry=of
        )
        self.hits = Counter("vitrina_cache_hits_total", "Answers given again without computing them", registry=of)
        self.misses = Counter("vitrina_cache_misses_total", "Answers that were asked for and not kept", registry=of)
        self.cache_failures = Counter(
            "vitrina_cache_failures_total", "Times that kept answers could not be read or written", registry=of
        )
        self.indexed = Gauge("vitrina_search_products", "Products that a worker finds", multiprocess_mode="livemax", registry=of)
        self.memory = Gauge(
            "vitrina_process_memory_bytes", "Memory of the workers' processes", multiprocess_mode="livesum", registry=of
        )
        self.gpu = Gauge(
            "vitrina_gpu_memory_bytes", "Memory of a GPU that anybody uses", ("device",), multiprocess_mode="livemax", registry=of
        )
        self.gpu_total = Gauge(
            "vitrina_gpu_memory_total_bytes", "Memory that a GPU has", ("device",), multiprocess_mode="livemax", registry=of
        )


@cache
def _metrics() -> _Metrics:
    return _Metrics()


def request_done(endpoint: str, status: int, seconds: float, model: str = "", version: str = "") -> None:
    """Count one answer; `endpoint` is the route's template, never a path with ids in it.

    `model` and `version` made it; empty where none did.
    """
    _metrics().requests.labels(endpoint, str(status)).inc()
    if model:
        _metrics().answers.labels(endpoint, str(status), model, version).inc()
    _metrics().seconds.labels(endpoint, model, version).observe(seconds)


def request_begun() -> None:
    """Count one request as in progress, until `request_ended`."""
    _metrics().in_progress.inc()


def request_ended() -> None:
    """It was answered, or its client has left."""
    _metrics().in_progress.dec()


def request_refused(reason: str) -> None:
    """Count one request that was not let in; `reason` is the code of its error."""
    _metrics().refused.labels(reason).inc()


def worker_lost() -> None:
    """Count a worker that ended with a request which it had not answered."""
    _metrics().lost.inc()


def batch_ran(model: str, waits: Sequence[float], seconds: float, left: int) -> None:
    """Count one forward pass over items that waited so many seconds each; `left` wait still."""
    known = _metrics()
    known.batch.labels(model).observe(len(waits))
    known.forward.labels(model).observe(seconds)
    waited = known.waited.labels(model)
    for wait in waits:
        waited.observe(wait)
    known.waiting.labels(model).set(left)


def model_loading(model: str, loading: bool) -> None:
    """Whether this worker loads a version."""
    _metrics().loading.labels(model).set(int(loading))


def model_swapped(model: str, old: int | None, new: int) -> None:
    """This worker answers with version `new` from now on."""
    _metrics().swaps.labels(model).inc()
    if old is not None:
        _metrics().info.labels(model, str(old)).set(0)
    _metrics().info.labels(model, str(new)).set(1)


def model_load_failed(model: str) -> None:
    """A look at the registry, or a load, failed."""
    _metrics().failures.labels(model).inc()


def model_stale(model: str, stale: bool) -> None:
    """Whether this worker answers with another version than champion."""
    _metrics().stale.labels(model).set(int(stale))


def predictions_written(count: int) -> None:
    """Count predictions that reached the database."""
    _metrics().written.inc(count)


def predictions_dropped(count: int = 1) -> None:
    """Count predictions that never will."""
    _metrics().dropped.inc(count)


def predictions_waiting(count: int) -> None:
    """Length of this worker's queue."""
    _metrics().queue.set(count)


def cache_hit(count: int) -> None:
    """Count answers that were given again."""
    _metrics().hits.inc(count)


def cache_missed(count: int) -> None:
    """Count answers that had to be computed although they may be kept."""
    _metrics().misses.inc(count)


def cache_failed() -> None:
    """Count a time at which kept answers could not be read or written."""
    _metrics().cache_failures.inc()


def products_indexed(count: int) -> None:
    """How many products this worker's search finds."""
    _metrics().indexed.set(count)


def memory_used(gpus: Sequence[tuple[int, int]] = ()) -> None:
    """Look at this process's memory; `gpus` are bytes in use, and in all, of each GPU that it computes on."""
    _metrics().memory.set(psutil.Process().memory_info().rss)
    for device, (used, total) in enumerate(gpus):
        _metrics().gpu.labels(str(device)).set(used)
        _metrics().gpu_total.labels(str(device)).set(total)


def exposition(database_url: str | None = None) -> bytes:
    """All metrics in Prometheus' text format (`CONTENT_TYPE`), of every live worker where several share a folder.

    With `database_url` also what the application database tells; blocks while it is read.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

    registry = _metrics().registry
    folder = os.environ.get(MULTIPROCESS)
    if folder:
        for gauge in Path(folder).glob("gauge_live*.db"):
            pid = int(gauge.stem.rpartition("_")[2])
            if not _is_alive(pid):
                mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    told = b"" if database_url is None else stored.exposition(database_url)
    return bytes(generate_latest(registry)) + told


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that was killed and that nobody has taken note of yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
