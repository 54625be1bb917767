"""Does a request fail while `champion` moves under load, and does every answer name the version that made it?

A server as `vitrina serve` starts it, clients in a process of their own with connections kept alive, and three moves of
`champion` meanwhile: a promotion, a move of the alias as the MLflow UI makes it, a rollback. The versions are made to
answer with different confidence, so that an answer that names the wrong version shows. Then, in the same run and
without moves, the same requests with batching (`max_batch_size` of the configuration) and with batches of one.

    OMP_NUM_THREADS=1 python -m benchmarks.serving_load [--requests 10000] [--bundle DIR]
"""

import argparse
import asyncio
import base64
import io
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from benchmarks.machine import write
from configs.schema import ServingConfig
from configs.settings import Settings
from database.ledger import promotions
from registry.connection import connected
from registry.promotion import promote, rollback
from registry.register import register
from registry.versions import CHAMPION, registered_name
from serving.run import command

MODEL = "product"
BUNDLE = Path(__file__).parents[1] / "tests" / "behaviour" / "bundles" / "product"
TEMPERATURES = {1: 1.0, 2: 8.0, 3: 32.0}
"""Calibration temperature by version: a higher one answers with less confidence."""
START_SECONDS = 120.0


def requests() -> list[tuple[str, dict[str, Any]]]:
    """The mix, in turn: classification of a text, analysis of a text with a photo, price of a text."""
    photo = Image.new("RGB", (60, 80), "white")
    ImageDraw.Draw(photo).rectangle((15, 15, 45, 70), fill=(40, 70, 200))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG")
    text = {
        "title": "Nordal Men Blue Striped Shirt",
        "description": "<p>A blue cotton shirt &amp; made to last</p>",
        "brand": "Nordal",
    }
    with_photo = text | {"image": base64.b64encode(buffer.getvalue()).decode()}
    return [
        ("multimodal/classify", text),
        ("multimodal/analyze", with_photo),
        ("multimodal/classify", text),
        ("price/predict", text),
    ]


def main() -> None:
    """Run all three parts and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--peer-requests", type=int, default=3_000, help="requests of each peer run; 0 leaves the peers out")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument(
        "--bundle",
        type=Path,
        default=BUNDLE,
        help="a trained product bundle; by default the one that tests answer from",
    )
    parser.add_argument("--out", type=Path, help="where to write the JSON; benchmarks/results by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
        prepare(settings, options.bundle)
        busy = os.getloadavg()[1]  # of what else runs here, before the first request
        result = {
            "clients": options.clients,
            "load_average_before": round(busy, 1),
            "moving": moving(settings, options.requests, options.clients),
        }
        if options.peer_requests:
            result["peers"] = peers(settings, options.peer_requests, options.clients)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    else:
        write("serving_load", result)
    problems = result["moving"]["problems"]
    print(json.dumps(result, indent=1))
    if problems:
        sys.exit("; ".join(problems))


def prepare(settings: Settings, bundle: Path) -> None:
    """Register the versions; the first is champion."""
    for version, temperature in TEMPERATURES.items():
        copy = settings.home / f"bundle-{version}"
        shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("manifest.json"))
        weights = load_file(copy / "model.safetensors")
        weights["heads.category.temperature"].fill_(temperature)
        save_file(weights, copy / "model.safetensors")
        register(settings, MODEL, copy, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    promote(settings, MODEL, 1, "benchmark", "first")


def moving(settings: Settings, count: int, clients: int) -> dict[str, Any]:
    """Load while champion moves; what was found, problems in words among it."""
    with server(settings, ServingConfig(port=free_port(), poll_seconds=0.5)) as url, load(url, count, clients) as (done, results):
        moves = []
        for share, move in ((0.2, to_second), (0.45, to_third_in_the_ui), (0.7, back)):
            while done.value < share * count:
                time.sleep(0.05)
            start = time.perf_counter()
            move(settings)
            expected = {to_second: 2, to_third_in_the_ui: 3, back: 2}[move]
            wait(lambda version=expected: state(url)["version"] == version, 60)
            moves.append({"to": expected, "seconds_until_it_answers": round(time.perf_counter() - start, 2)})
        answers = results.get()
        rows = promotions(settings.database_url, MODEL)
        ledger = [[row.from_version, row.to_version, row.who, row.action] for row in rows]
    return {"moves": moves, "ledger": ledger, **measured(answers), "problems": problems(answers, count, ledger)}


def to_second(settings: Settings) -> None:
    """A promotion."""
    promote(settings, MODEL, 2, "benchmark", "better")


def to_third_in_the_ui(settings: Settings) -> None:
    """A moved alias, and nothing else."""
    with connected(settings) as client:
        client.set_registered_model_alias(registered_name(MODEL), CHAMPION, "3")


def back(settings: Settings) -> None:
    """A rollback."""
    rollback(settings, MODEL, "benchmark", "worse")


def peers(settings: Settings, count: int, clients: int) -> dict[str, Any]:
    """The same requests without moves: batches as configured, and batches of one."""
    found = {}
    for name, size in (("batched", ServingConfig().max_batch_size), ("one_at_a_time", 1)):
        config = ServingConfig(port=free_port(), max_batch_size=size)
        with server(settings, config) as url, load(url, count, clients) as (_, results):
            found[name] = measured(results.get())
    ratio = found["batched"]["requests_per_second"] / found["one_at_a_time"]["requests_per_second"]
    return {**found, "throughput_ratio": round(ratio, 2)}


def measured(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Throughput, latency by endpoint, and answers by version."""
    span = max(a["end"] for a in answers) - min(a["start"] for a in answers)
    by_endpoint = defaultdict(list)
    for answer in answers:
        by_endpoint[answer["endpoint"]].append(1000 * (answer["end"] - answer["start"]))
    everything = [latency for values in by_endpoint.values() for latency in values]
    return {
        "requests": len(answers),
        "failed": sum(a["status"] != 200 for a in answers),
        "requests_per_second": round(len(answers) / span, 1),
        "latency_ms": {name: percentiles(values) for name, values in {"all": everything, **by_endpoint}.items()},
        "answers_by_version": {str(v): n for v, n in sorted(Counter(a["version"] for a in answers).items())},
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the worst."""
    p50, p95, p99, worst = np.percentile(values, [50, 95, 99, 100])
    return {"p50": round(p50, 1), "p95": round(p95, 1), "p99": round(p99, 1), "max": round(worst, 1)}


def problems(answers: list[dict[str, Any]], count: int, ledger: list[list[Any]]) -> list[str]:
    """Everything that should not have happened."""
    found = []
    failed = [a for a in answers if a["status"] != 200]
    if len(answers) != count or failed:
        found.append(f"{len(failed)} of {len(answers)} requests failed, {count} were to be sent: {failed[:3]}")
    good = [a for a in answers if a["status"] == 200]
    if {a["version"] for a in good} != set(TEMPERATURES):
        found.append(f"versions that answered: {sorted({a['version'] for a in good})}")
    said = defaultdict(set)
    for answer in good:
        if answer["probability"] is not None:
            said[answer["kind"], answer["version"]].add(round(answer["probability"], 3))
    for (kind, version), values in said.items():
        if max(values) - min(values) > 0.002:
            found.append(f"version {version} gave request {kind} different answers: {sorted(values)}")
    for kind in {kind for kind, _ in said}:
        means = sorted(float(np.mean(list(said[kind, v]))) for v in TEMPERATURES if said[kind, v])
        if any(after - before < 0.005 for before, after in pairwise(means)):
            found.append(f"request {kind}: versions cannot be told apart by their answers: {means}")
    steps = [(row[0], row[1]) for row in ledger]
    if steps != [(None, 1), (1, 2), (2, 3), (3, 2)]:
        found.append(f"the ledger says {ledger}")
    return found


@contextmanager
def server(settings: Settings, config: ServingConfig) -> Iterator[str]:
    """A server process whose models are loaded; its address."""
    arguments, environment = command(settings, config)
    log = settings.home / f"server-{config.port}.log"
    with log.open("wb") as out, subprocess.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        url = f"http://{config.host}:{config.port}"
        try:
            wait(lambda: process.poll() is not None or (state(url) or {}).get("version"), START_SECONDS)
            if process.poll() is not None:
                sys.exit(f"the server ended: {log.read_text(encoding='utf-8')[-2000:]}")
            yield url
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def load(url: str, count: int, clients: int) -> Iterator[tuple["Synchronized[int]", Any]]:
    """Clients in a process of their own: how many answers came so far, and a handle on all of them."""
    context = multiprocessing.get_context("spawn")
    done = context.Value("i", 0)
    with context.Pool(1, initializer=remember, initargs=(done,)) as pool:
        yield done, pool.apply_async(clients_of, (url, count, clients))


_done: "Synchronized[int]"


def remember(done: "Synchronized[int]") -> None:
    """Give the client process the shared count."""
    global _done
    _done = done


def clients_of(url: str, count: int, clients: int) -> list[dict[str, Any]]:
    """Send `count` requests from `clients` that each wait for their answer."""
    return asyncio.run(_clients(url, count, clients))


async def _clients(url: str, count: int, clients: int) -> list[dict[str, Any]]:
    kinds, turns, answers = requests(), iter(range(count)), []

    async def client(session: aiohttp.ClientSession) -> None:
        for turn in turns:
            kind = turn % len(kinds)
            endpoint, body = kinds[kind]
            start, status, said = time.perf_counter(), 0, {}
            try:
                async with session.post(f"{url}/v1/{endpoint}", json=body) as response:
                    status, said = response.status, await response.json()
            except aiohttp.ClientError as error:
                said = {"error": repr(error)}
            categories = said.get("categories")
            answers.append(
                {
                    "kind": kind,
                    "endpoint": endpoint,
                    "status": status,
                    "start": start,
                    "end": time.perf_counter(),
                    "version": said.get("model", {}).get("version"),
                    "probability": categories["article_type"][0]["probability"] if categories else None,
                    "error": said.get("error"),
                }
            )
            _done.value = len(answers)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return answers


def state(url: str) -> dict[str, Any]:
    """What /readyz says of the model; empty before it answers."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
            return dict(json.load(response)["models"][0])
    except (urllib.error.URLError, OSError):
        return {}


def wait(condition: Any, seconds: float) -> None:
    """Until `condition()` is true; ends the run after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"waited {seconds:g} s in vain")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
