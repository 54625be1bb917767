"""How many requests a second does the service answer where the model has little or nothing to compute?

Embeddings that are kept (each listing was asked for before), recommendations for users that the version knows, and health, which
is what the server costs by itself. A server as `vitrina serve` starts it answers clients in another process; the models are the
small bundles of the tests.

    OMP_NUM_THREADS=1 python -m benchmarks.light_requests [--requests 4000] [--clients 16] [--workers 2] [--rounds 3]
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loader import clients, load, request
from benchmarks.machine import write
from benchmarks.serving import payloads, running
from benchmarks.serving_load import BUNDLE, free_port
from catalog.sample import write_sample
from configs.schema import AccessConfig, ServingConfig
from configs.settings import Settings
from registry.promotion import promote
from registry.register import register
from serving.run import command

MODELS = ("product", "recommender")
USERS = 500
LISTINGS = 300


def main() -> None:
    """Measure in turn, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000, help="of each kind in a round")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
        for model in MODELS:
            bundle = Path(shutil.copytree(BUNDLE.parent / model, home / model))  # registering seals it
            register(settings, model, bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
            promote(settings, model, 1, "benchmark", "first")
        port = free_port()
        access = AccessConfig(requests_a_minute=10_000_000)
        arguments, environment = command(
            settings, ServingConfig(port=port, models=MODELS, workers=options.workers, access=access)
        )
        stack.enter_context(running(arguments, environment, home / "log", port, "/readyz"))
        pool = stack.enter_context(clients())
        listings = payloads(write_sample(home / "catalogue"), LISTINGS, photos=0.0)
        asked = {
            "embeddings_kept": [request("/v1/embeddings", body) for body in listings],
            "recommendations": [request("/v1/recommendations", b'{"user_id": %d}' % user) for user in range(1, USERS + 1)],
            "health": [request("/livez", b"", "GET")],
        }
        for requests in asked.values():
            load(pool, port, requests, 2 * options.workers * len(requests), options.clients)  # known to every worker
        loads: dict[str, list[Any]] = {name: [] for name in asked}
        for _ in range(options.rounds):
            for name, requests in asked.items():
                loads[name].append(load(pool, port, requests, options.requests, options.clients))
    result = {
        "clients": options.clients,
        "workers": options.workers,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "load_average_before": round(os.getloadavg()[0], 1),
        "bundles": "those of the tests",
        "requests": {name: told(found) for name, found in loads.items()},
    }
    if not options.dry:
        write("light_requests", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    if any(set(found.statuses) != {200} for kind in loads.values() for found in kind):
        sys.exit("requests failed")


def told(loads: list[Any]) -> dict[str, float]:
    """The median round's throughput, and latency over all rounds."""
    p50, p99 = np.percentile([1000 * seconds for found in loads for seconds in found.latencies], [50, 99])
    per_second = statistics.median(found.per_second for found in loads)
    return {"per_second": round(per_second), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


if __name__ == "__main__":
    main()
