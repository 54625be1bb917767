"""How fast is `multimodal/analyze`, beside the model by itself, plain FastAPI and LitServe?

One client's latency, and throughput under many clients, of a server as `vitrina serve` starts it; of the same predictor by itself
in the best size of batches, on as many threads; behind plain FastAPI with a call a request, in its threads and in its event loop;
and behind LitServe with batches of the same size. All servers run at the same time and are asked in turn, round by round, by the
same clients with the same requests, all of them different. Ratios are of the medians over the rounds.

The bundle is of the base preset with fresh weights (`benchmarks.untrained`): time does not hang on them.

    OMP_NUM_THREADS=1 python -m benchmarks.serving [--data DIR] [--photos 0.25] [--rounds 5] [--requests 1500] [--clients 64]
"""

import argparse
import base64
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks.loader import Load, clients, load, request
from benchmarks.machine import write
from benchmarks.serving_load import free_port, wait
from benchmarks.serving_own import own
from benchmarks.serving_peers import PATH
from benchmarks.untrained import write_bundle
from catalog.catalogue import Catalogue, records_of
from catalog.sample import write_sample
from configs.schema import AccessConfig, ServingConfig
from configs.settings import Settings
from models.product.bundle import load_config
from registry.promotion import promote
from registry.register import register
from serving.run import command

PEERS = ("fastapi", "one_thread", "litserve")
START_SECONDS = 180.0
FIELDS = ("brand", "gender", "base_colour", "season", "usage")


class Server(NamedTuple):
    """One that answers."""

    port: int
    process: psutil.Process


class Seen(NamedTuple):
    """What clients saw of a server, and the CPU seconds that it took."""

    load: Load
    server_seconds: float


def main() -> None:
    """Start all servers, measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="catalogue of the listings; the sample catalogue by default")
    parser.add_argument("--bundle", type=Path, help="a product bundle, instead of one that is made")
    parser.add_argument("--rows", type=int, help="products that the encoders are fitted on; all by default")
    parser.add_argument("--photos", type=float, default=0.25, help="share of the listings that are sent with their photo")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1500, help="of each server in a round")
    parser.add_argument("--alone", type=int, default=200, help="requests of one client in a round")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1, help="of our server")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        data = options.data or write_sample(home / "catalogue")
        bundle = options.bundle or write_bundle(home / "bundle", data, rows=options.rows)
        made = load_config(bundle)
        bodies = payloads(data, options.rounds * (options.requests + options.alone), options.photos)
        servers = {"vitrina": stack.enter_context(ours(home / "home", bundle, options.workers))}
        for peer in PEERS:
            servers[peer] = stack.enter_context(theirs(peer, bundle, home))
        pool = stack.enter_context(clients())
        model = stack.enter_context(own(bundle, bodies[: options.requests]))
        result = {
            "clients": options.clients,
            "workers": options.workers,
            "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
            "photos": options.photos,
            "weights": "trained" if made.updates.made else "fresh, of the base preset",
            "fitted_on": made.training_rows,
            "load_average_before": round(os.getloadavg()[0], 1),
            **measured(pool, servers, model, bodies, options),
        }
    if not options.dry:
        write("serving", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    failed = {name: found["failed"] for name, found in result["servers"].items() if found["failed"]}
    if failed:
        sys.exit(f"requests failed: {failed}")


def payloads(data: Path, count: int, photos: float) -> list[bytes]:
    """Requests that all differ: products of the catalogue, again with another title where there are not enough."""
    catalogue = Catalogue.open(data)
    records = records_of(catalogue.products().sample(frac=1.0, random_state=0))
    rng, made = np.random.default_rng(0), list[bytes]()
    while len(made) < count:
        lap, place = divmod(len(made), len(records))
        row = records[place]
        body: dict[str, Any] = {name: row[name] for name in ("title", "description", *FIELDS) if isinstance(row.get(name), str)}
        if lap:
            body["title"] = f"{body.get('title', '')} {lap}"
        photo = catalogue.images.get(row["product_id"]) if rng.random() < photos else None
        if photo is not None:
            body["image"] = base64.b64encode(photo).decode()
        made.append(json.dumps(body).encode())
    return made


def measured(
    pool: Pool,
    servers: Mapping[str, Server],
    model: Callable[[], dict[int, float]],
    bodies: Sequence[bytes],
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Of every server and of the model, round by round."""
    requests = [request(PATH, body) for body in bodies]
    alone: dict[str, list[Seen]] = {name: [] for name in servers}
    many: dict[str, list[Seen]] = {name: [] for name in servers}
    best: list[dict[int, float]] = []
    for server in servers.values():
        seen(pool, server, requests[: 2 * options.clients], options.clients)  # warm
    start = 0
    for turn in range(options.rounds):
        names = list(servers)[turn % len(servers) :] + list(servers)[: turn % len(servers)]
        first, then = requests[start : start + options.alone], requests[start + options.alone :][: options.requests]
        start += options.alone + options.requests
        for name in names:
            alone[name].append(seen(pool, servers[name], first, 1))
            many[name].append(seen(pool, servers[name], then, options.clients))
        best.append(model())
    by_size = {size: statistics.median(found[size] for found in best) for size in best[0]}
    found = {name: {"alone": told(alone[name]), "many": told(many[name])} for name in servers}
    ours_, of_model = found["vitrina"]["many"]["per_second"], max(by_size.values())
    ratios = {"model": of_model} | {peer: found[peer]["many"]["per_second"] for peer in PEERS}
    return {
        "servers": {name: found[name] | {"failed": failures(alone[name] + many[name])} for name in servers},
        "model_per_second_by_batch": {str(size): round(value, 1) for size, value in by_size.items()},
        "throughput_ratio_to": {name: round(ours_ / value, 2) for name, value in ratios.items()},
    }


def seen(pool: Pool, server: Server, requests: Sequence[bytes], at_once: int) -> Seen:
    """What clients saw of a server, and the CPU time that it took."""
    before = spent(server.process)
    found = load(pool, server.port, requests, len(requests), at_once)
    return Seen(found, spent(server.process) - before)


def spent(process: psutil.Process) -> float:
    """CPU seconds of a process and all below it."""
    times = [found.cpu_times() for found in [process, *process.children(recursive=True)]]
    return float(sum(time.user + time.system for time in times))


def told(found: Sequence[Seen]) -> dict[str, Any]:
    """Latency over all rounds, the median throughput of a round, and the CPU time that server and clients took a request."""
    latencies = [1000 * latency for one in found for latency in one.load.latencies]
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (np.nan, np.nan)
    count = max(1, sum(sum(one.load.statuses.values()) for one in found))
    return {
        "per_second": round(statistics.median(one.load.per_second for one in found), 1),
        "lowest_and_highest": [round(pick(one.load.per_second for one in found), 1) for pick in (min, max)],
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "server_cpu_ms_a_request": round(1000 * sum(one.server_seconds for one in found) / count, 2),
        "client_cpu_ms_a_request": round(1000 * sum(one.load.client_seconds for one in found) / count, 2),
    }


def failures(loads: Sequence[Seen]) -> dict[str, int]:
    """How many were answered by each other status than 200."""
    found: dict[str, int] = {}
    for one in loads:
        for status, count in one.load.statuses.items():
            if status != 200:
                found[str(status)] = found.get(str(status), 0) + count
    return found


@contextmanager
def ours(home: Path, bundle: Path, workers: int) -> Iterator[Server]:
    """A server as `vitrina serve` starts it, whose model is loaded."""
    settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
    register(settings, "product", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "product", 1, "benchmark", "first")
    access = AccessConfig(requests_a_minute=10_000_000)
    config = ServingConfig(port=free_port(), models=("product",), workers=workers, access=access)
    arguments, environment = command(settings, config)
    with running(arguments, environment, home / "vitrina.log", config.port, "/readyz") as process:
        yield Server(config.port, process)


@contextmanager
def theirs(name: str, bundle: Path, home: Path) -> Iterator[Server]:
    """A peer."""
    port = free_port()
    environment = os.environ | {"BUNDLE": str(bundle), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    arguments = [sys.executable, "-m", "benchmarks.serving_peers", name, str(port)]
    with running(
        arguments, environment, home / f"{name}.log", port, "/health" if name == "litserve" else "/openapi.json"
    ) as process:
        yield Server(port, process)


@contextmanager
def running(arguments: list[str], environment: dict[str, str], log: Path, port: int, ready: str) -> Iterator[psutil.Process]:
    """A server in a process group of its own, until it answers and to the end of the block."""
    with (
        log.open("wb") as out,
        subprocess.Popen(arguments, env=environment, stdout=out, stderr=out, start_new_session=True) as process,
    ):
        try:
            wait(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}{ready}"), START_SECONDS)
            if process.poll() is not None:
                sys.exit(f"the server ended: {log.read_text(encoding='utf-8')[-2000:]}")
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):  # LitServe leaves its workers behind
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether a server answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
