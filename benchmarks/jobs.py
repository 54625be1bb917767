"""How fast is a job of 1,000 embeddings, beside the model by itself, and again from what was kept?

The service and its worker run as `vitrina serve` starts them; the client leaves the job, waits for it and reads all results. The
model by itself answers the same listings in this process, on as many threads, from decoded JSON to JSON, before and after. Asked
again, the job computes nothing. The bundle is of the base preset with fresh weights (`benchmarks.untrained`): time does not hang
on them.

    OMP_NUM_THREADS=2 python -m benchmarks.jobs --data ../shared/data/myntra [--items 1000] [--photos 1.0] [--rounds 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import write
from benchmarks.serving import ours, payloads
from benchmarks.untrained import write_bundle
from catalog.sample import write_sample
from configs.schema import ServingConfig
from models import family
from serving.kinds import Done
from serving.routes.product import EMBED_BATCH
from serving.run import ROOT
from serving.slots import Loaded
from vitrina_client import Client

LONGEST_SECONDS = 1800.0


def main() -> None:
    """Measure in turn, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="catalogue of the listings; the sample catalogue by default")
    parser.add_argument("--rows", type=int, help="products that the encoders are fitted on; all by default")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--photos", type=float, default=1.0, help="share of the listings that are sent with their photo")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Path(folder)
        data = options.data or write_sample(home / "catalogue")
        bundle = write_bundle(home / "bundle", data, rows=options.rows)
        bodies = [json.loads(body) for body in payloads(data, options.rounds * options.items, options.photos)]
        parts = [bodies[start : start + options.items] for start in range(0, len(bodies), options.items)]
        model = Loaded(1, family.load("product", bundle, "cpu"))
        port = stack.enter_context(ours(home / "home", bundle, 1)).port
        stack.enter_context(worker(home / "home"))
        client = stack.enter_context(Client(f"http://127.0.0.1:{port}", deadline=LONGEST_SECONDS))
        asked(client, bodies[:1])  # the worker has loaded the model
        alone, left, again = list[float](), list[float](), list[float]()
        for part in parts:
            before = offline(model, part)
            left.append(asked(client, part))
            alone.append((before + offline(model, part)) / 2)
            again.append(asked(client, part))
    seconds = {"offline": alone, "job": left, "job_again": again}
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    result = {
        "items": options.items,
        "photos": options.photos,
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
        "weights": "fresh, of the base preset",
        "load_average_before": round(os.getloadavg()[0], 1),
        "seconds": {name: [round(value, 2) for value in found] for name, found in seconds.items()},
        "offline_to_job": round(middle["offline"] / middle["job"], 3),
        "job_to_job_again": round(middle["job"] / middle["job_again"], 1),
    }
    if not options.dry:
        write("jobs", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


@contextmanager
def worker(home: Path) -> Iterator[None]:
    """`vitrina worker` to the end of the block; it looks at no champion meanwhile."""
    arguments = [sys.executable, str(ROOT / "cli.py"), "worker", "--set", "jobs.watch_seconds=86400"]
    environment = os.environ | {"VITRINA_HOME": str(home)}
    with (home / "worker.log").open("wb") as out, subprocess.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()


def offline(model: Loaded, bodies: Sequence[dict[str, Any]]) -> float:
    """Seconds that the model takes by itself, in batches as a job has them."""
    config, start = ServingConfig(), time.perf_counter()
    read = EMBED_BATCH.reader(config)
    for first in range(0, len(bodies), EMBED_BATCH.batch):
        items = [read(body) for body in bodies[first : first + EMBED_BATCH.batch]]
        answers = [done.body.model_dump_json() for done in EMBED_BATCH.answer(model, config, items) if isinstance(done, Done)]
        assert len(answers) == len(items), "every listing can be embedded"
    return time.perf_counter() - start


def asked(client: Client, bodies: Sequence[dict[str, Any]]) -> float:
    """Seconds from leaving a job to the last of its results."""
    start = time.perf_counter()
    job = client.embed_batch_job(bodies)  # type: ignore[arg-type]  # JSON as it is
    job.wait(timeout=LONGEST_SECONDS, progress=False)
    found = sum(1 for _ in job.result())
    assert found == len(bodies), f"{found} of {len(bodies)} were embedded"
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
