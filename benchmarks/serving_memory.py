"""How much memory a service takes: a worker with a bundle of the base preset that was not trained, and what looks after workers.

What a process holds by itself (unique set size), after 200 requests. It does not depend on how fast the machine is.

    OMP_NUM_THREADS=1 python -m benchmarks.serving_memory [--dry]
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.loader import clients, load, request
from benchmarks.machine import write
from benchmarks.serving import payloads, running
from benchmarks.serving_load import free_port
from benchmarks.untrained import write_bundle
from catalog.sample import write_sample
from configs.schema import AccessConfig, ServingConfig
from configs.settings import Settings
from registry.promotion import promote
from registry.register import register
from serving.run import command

AT_ONCE = 16


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vitrina-memory-"))
    try:
        result = measure(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.dry:
        write("serving_memory", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def measure(home: Path) -> dict[str, Any]:
    """MiB that a worker holds by itself, and its supervisor, with a bundle of the base preset, after requests."""
    settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
    catalogue = write_sample(home / "catalogue")
    write_bundle(home / "bundle", catalogue)
    register(settings, "product", home / "bundle", metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "product", 1, "benchmark", "first")
    port, requests = free_port(), [request("/v1/multimodal/analyze", body) for body in payloads(catalogue, 200, photos=0.25)]
    arguments, environment = command(settings, ServingConfig(port=port, access=AccessConfig(requests_a_minute=10_000_000)))
    with running(arguments, environment, home / "log", port, "/readyz") as supervisor, clients() as pool:
        load(pool, port, requests, len(requests), AT_ONCE)
        [worker] = [child for child in supervisor.children() if "_bentoml_impl.worker.service" in child.cmdline()]
        return {
            "preset": "base",
            "worker_mebibytes": round(worker.memory_full_info().uss / 2**20),
            "supervisor_mebibytes": round(supervisor.memory_full_info().uss / 2**20),
        }


if __name__ == "__main__":
    main()
