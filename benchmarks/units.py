"""What does a unit cost that no other benchmark measures: a row in PostgreSQL, a version in MLflow, a request passed on?

- rows: predictions of the product model with their embedding, in batches as the service writes them, by one process and by
  several; events, and jobs of one item, one transaction each; what a prediction takes on disk with its indices.
- registry: registering and promoting the small bundle of the tests by an MLflow server on the same PostgreSQL, and the question
  that each worker asks it for each model (`serving.poll_seconds`).
- requests: CPU time of a service, and of a gateway before it, for an answer that is kept.

PostgreSQL waits for its disk at each commit. All of it shares the machine: a server of its own has its cores to itself.

    OMP_NUM_THREADS=1 python -m benchmarks.units [--seconds 4] [--dry]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sqlalchemy

from benchmarks import units_rows
from benchmarks.jobs_chaos import postgres
from benchmarks.loader import clients, load, request
from benchmarks.machine import write
from benchmarks.serving import payloads, running
from benchmarks.serving_load import BUNDLE, free_port
from benchmarks.units_rows import rate
from catalog.listing import Listing
from catalog.sample import write_sample
from configs.schema import AccessConfig, ServingConfig
from configs.settings import Settings
from database.catalog import revision
from database.engine import engine, reading
from database.predictions import PredictionRow
from models import family
from monitoring.prediction_log import BATCH
from registry.promotion import promote
from registry.register import register
from registry.versions import alias_targets
from serving.routes._product import embedded
from serving.routes.product import row as row_of
from serving.run import command
from serving.schemas import ListingIn
from serving.slots import Answer

WRITERS = (1, 2, 4)
THREADS = 8
LISTING = Listing(
    title="Nordal Men Blue Striped Shirt", description="A soft cotton shirt.", fields={"brand": "Nordal"}, price=40.0
)
TAKEN = "SELECT pg_total_relation_size('predictions'), count(*) FROM predictions"
VERSIONS = 5
DIMENSIONS = 1024
REQUESTS, AT_ONCE = 3000, 16
TOKEN = "0123456789abcdef" * 4


def main() -> None:
    """Measure one after the other, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each kind of row")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    before = round(os.getloadavg()[0], 1)
    folder, database = (Path(tempfile.mkdtemp(prefix="vitrina-units-")) for _ in range(2))  # PostgreSQL runs as a user of its own
    try:
        with postgres(database) as (address, _):
            urls = {name: made(address, name) for name in ("vitrina", "mlflow")}
            rows = measure_rows(urls["vitrina"], options.seconds, folder)
            with mlflow_server(folder, urls["mlflow"]) as tracking:
                registry = measure_registry(Settings(folder / "home", urls["vitrina"], tracking), options.seconds)
        requests = measure_requests(folder / "service")
    finally:
        for made_here in (folder, database):
            shutil.rmtree(made_here, ignore_errors=True)
    result = {"load_average_before": before, "rows": rows, "registry": registry, "requests": requests}
    if not options.dry:
        write("units", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def made(address: str, name: str) -> str:
    """Address of a new database of the server at `address`."""
    with engine(address).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return f"{address.rpartition('/')[0]}/{name}"


def measure_rows(url: str, seconds: float, folder: Path) -> dict[str, Any]:
    """Rows and transactions a second, and bytes of a prediction."""
    row = prediction()
    units_rows.save(row, folder / "example.json")
    command = [sys.executable, "-m", "benchmarks.units_rows", url, str(seconds), str(folder / "example.json")]
    predictions = {}
    for writers in WRITERS:
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(writers)]
        predictions[str(writers)] = round(sum(float(process.communicate()[0]) for process in started))
    with reading(url) as connection:
        size, count = connection.execute(sqlalchemy.text(TAKEN)).one()
    return {
        "rows_a_transaction": BATCH,
        "predictions_a_second_by_writers": predictions,
        "prediction_bytes": round(size / count),
        "embedding_bytes": len(row.embedding or b""),
        "events_a_second": round(rate(partial(units_rows.tell, url), seconds)),
        "events_a_second_of_8_threads": round(rate(partial(units_rows.tell, url), seconds, THREADS)),
        "jobs_left_a_second": round(rate(partial(units_rows.leave, url), seconds)),
        "catalogue_revision_microseconds": round(1e6 / rate(partial(revision, url), seconds)),
    }


def prediction() -> PredictionRow:
    """What the service logs of an answer of the product model, with an embedding of the length that `base` has."""
    predictor: Any = family.load("product", BUNDLE, "cpu")
    answer = Answer(predictor.predict([LISTING])[0], 1)
    body = ListingIn.model_validate({"title": LISTING.title})
    row = row_of("embeddings", embedded(body, answer), LISTING, answer, 5.0)
    return replace(row, embedding=np.random.default_rng(0).normal(size=DIMENSIONS).astype("<f4").tobytes())


@contextmanager
def mlflow_server(folder: Path, store: str) -> Iterator[str]:
    """Address of an MLflow server of one process."""
    store, port = store.replace("postgresql://", "postgresql+psycopg://"), free_port()
    told = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    arguments = [sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--port", str(port), "--log-level", "warning"]
    with running(arguments, os.environ | told, folder / "mlflow.log", port, "/health"):
        yield f"http://127.0.0.1:{port}"


def measure_registry(settings: Settings, seconds: float) -> dict[str, Any]:
    """Seconds of a registration and of a promotion, and looks a second."""
    settings.home.mkdir()
    registering, promoting = list[float](), list[float]()
    for version in range(1, VERSIONS + 1):
        bundle = Path(shutil.copytree(BUNDLE, settings.home / f"bundle-{version}"))
        tags = {"vitrina.gates": "passed", "vitrina.config": str(version)}
        start = time.perf_counter()
        register(settings, "product", bundle, metrics={"loss": 1.0}, config={}, tags=tags, reports={})
        registering.append(time.perf_counter() - start)
        start = time.perf_counter()
        promote(settings, "product", version, "benchmark", "first")
        promoting.append(time.perf_counter() - start)
    return {
        "bundle_mebibytes": round(sum(file.stat().st_size for file in BUNDLE.iterdir()) / 2**20, 1),
        "register_seconds": round(statistics.median(registering), 2),
        "promote_seconds": round(statistics.median(promoting), 2),
        "looks_a_second": round(rate(partial(alias_targets, settings, "product"), seconds, THREADS)),
    }


def measure_requests(home: Path) -> dict[str, Any]:
    """CPU milliseconds of a service and of a gateway before it, of answers that are kept."""
    home.mkdir()
    settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
    bundle = Path(shutil.copytree(BUNDLE, home / "bundle"))
    register(settings, "product", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, "product", 1, "benchmark", "first")
    requests = [request("/v1/embeddings", body) for body in payloads(write_sample(home / "catalogue"), 100, photos=0.0)]
    access, ports = AccessConfig(requests_a_minute=10_000_000), {name: free_port() for name in ("service", "gateway")}
    upstreams = {"product": f"http://127.0.0.1:{ports['service']}"}
    configs = {
        "service": ServingConfig(port=ports["service"], access=access),
        "gateway": ServingConfig(port=ports["gateway"], models=(), upstreams=upstreams, access=access),
    }
    found = {}
    with ExitStack() as stack:
        pool, processes = stack.enter_context(clients()), {}
        os.environ["VITRINA_INNER_TOKEN"] = TOKEN
        stack.callback(os.environ.pop, "VITRINA_INNER_TOKEN")
        for name, config in configs.items():
            arguments, environment = command(settings, config)
            processes[name] = stack.enter_context(running(arguments, environment, home / f"{name}.log", ports[name], "/readyz"))
        load(pool, ports["gateway"], requests, len(requests), AT_ONCE)
        before = {name: cpu_seconds(process) for name, process in processes.items()}
        done = load(pool, ports["gateway"], requests, REQUESTS, AT_ONCE)
        for name, process in processes.items():
            found[f"{name}_cpu_ms_of_a_kept_answer"] = round(1000 * (cpu_seconds(process) - before[name]) / REQUESTS, 2)
    if set(done.statuses) != {200}:
        sys.exit(f"requests failed: {done.statuses}")
    return found | {"per_second_through_the_gateway": round(done.per_second)}


def cpu_seconds(process: psutil.Process) -> float:
    """Of a process and all below it."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    main()
