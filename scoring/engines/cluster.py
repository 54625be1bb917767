"""Many workers, which Ray Data places, replaces and counts: actors that hold the model and answer a shard at a time.

What travels through Ray are numbers of shards; rows are read, and files written, where they are answered. Ray Data's own
checkpoints are not used: they hold the ids of all finished rows in memory, know one sink and no quarantine, and leave files in no
order.
"""

import logging
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from configs.errors import VitrinaError
from scoring.plan import Shard
from scoring.request import RayConfig
from scoring.shard import Job, ShardScorer

_KNOCK_SECONDS = 30.0
_INIT_DEATHS = 10  # of actors, one after the other, before the run ends: nodes come and go


class Worker:
    """An actor. What a person can mend travels back as a value: of an exception Ray makes a page of text."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._scorer: ShardScorer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Answer the shards of a batch."""
        found, error = "", ""
        try:
            self._scorer = self._scorer or ShardScorer(self.job)
            [number] = batch["number"].tolist()
            found = self._scorer.score(number).model_dump_json()
        except VitrinaError as refused:
            error = str(refused)
        return {"shard": [found], "error": [error]}


def score(job: Job, numbers: Sequence[int], config: RayConfig) -> Iterator[Shard]:
    """The shards `numbers`, each when it is finished, in any order.

    Raises:
        VitrinaError: see `scoring.shard`; there is no cluster, or it finished nothing for too long.
    """
    _prepare(config)
    import ray
    from ray.exceptions import RayError

    with _cluster(config):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.max_consecutive_actor_init_deaths = _INIT_DEATHS
        context.execution_no_progress_timeout_s = config.patience_seconds
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        shards = ray.data.from_items([{"number": number} for number in numbers], override_num_blocks=len(numbers))
        pool = ray.data.ActorPoolStrategy(
            min_size=config.least_workers,
            max_size=config.workers,
            initial_size=config.workers,
            max_tasks_in_flight_per_actor=2,
        )
        found = ray.cluster_resources()  # type: ignore[no-untyped-call]
        answered = shards.map_batches(
            Worker,
            batch_size=1,
            compute=pool,
            fn_constructor_kwargs={"job": job},
            num_cpus=config.cpus,
            num_gpus=_gpus(config, found),
        )
        try:
            for row in answered.iter_rows():
                if row["error"]:
                    raise VitrinaError(row["error"])
                yield Shard.model_validate_json(row["shard"])
        except (RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
            line = " ".join(str(error).split())
            raise VitrinaError(
                f"Ray ended the run, which goes on where it stopped when it is started again: {line[:300]}"
            ) from error


def _prepare(config: RayConfig) -> None:
    """Before Ray is imported: it tells nobody of its use; a cluster of its own, which others could speak to, has a key.

    On a machine of which others fill the memory, Ray would end our workers, again and again, to make room for them.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if config.address is None:
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
        if "RAY_AUTH_MODE" not in os.environ:
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _cluster(config: RayConfig) -> Iterator[None]:
    """Connected to the cluster at `config.address`, to the one that this process is connected to, or to one of its own."""
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if config.address is None:
            cores = len(os.sched_getaffinity(0)) if config.workers is None else -(-config.workers * config.cpus // 1)
            ray.init("local", num_cpus=int(cores), include_dashboard=False, **quiet)
        else:
            _knock(config.address)
            ray.init(config.address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = "on this machine" if config.address is None else f"at {config.address}"
        raise VitrinaError(f"no Ray cluster {where}: {' '.join(str(error).split())[:200]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Whether anybody listens at host:port: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _gpus(config: RayConfig, resources: dict[str, float]) -> float:
    """Of a worker."""
    return config.gpus if config.gpus is not None else float(resources.get("GPU", 0) >= 1)
