"""Does the memory of the service stay flat over many mixed requests?

A server as `vitrina serve` starts it, with the small bundles that tests answer from. Clients in a process of their own send every
kind of request in turn: all models, photos, forms, reviews, what is refused, what does not exist, the pages and the metrics; each
listing is another one. Memory (resident, of the server and its children) is read after every part of the requests. The slope is
that of a line through the second half, where caches have filled.

    OMP_NUM_THREADS=1 python -m benchmarks.memory [--requests 200000] [--clients 8]
"""

import argparse
import base64
import io
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.loader import clients, load, request
from benchmarks.machine import write
from benchmarks.serving import running
from benchmarks.serving_load import free_port
from configs.schema import AccessConfig, ServingConfig
from configs.settings import Settings
from models.bundles import BASE, BASE_VERSION
from registry.promotion import promote
from registry.register import register
from serving.run import command

BUNDLES = Path(__file__).parents[1] / "tests" / "behaviour" / "bundles"
MODELS = ("product", "recommender", "describer", "quality")
PARTS = 20
KINDS = 400
"""Different requests, which are sent over and over; their texts are made longer and shorter."""


def main() -> None:
    """Serve, load, and write what memory did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, clients() as pool, server(Path(folder)) as (port, process):
        part = max(1, options.requests // PARTS)
        statuses: Counter[int] = Counter()
        memory = list[float]()
        for turn in range(PARTS):
            found = load(pool, port, mixed(turn), part, options.clients)
            statuses.update(found.statuses)
            memory.append(resident(process))
            sys.stderr.write(f"{(turn + 1) * part} requests: {memory[-1]:.1f} MiB\n")
    half = memory[PARTS // 2 :]
    slope = float(np.polyfit(np.arange(len(half)) * part, half, 1)[0])
    result = {
        "requests": part * PARTS,
        "clients": options.clients,
        "models": list(MODELS),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "mib_after_each_part": [round(value, 1) for value in memory],
        "mib_a_100000_requests": round(slope * 100_000, 1),
        "growth_of_the_second_half_mib": round(half[-1] - half[0], 1),
    }
    if not options.dry:
        write("memory", result)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    unexpected = {
        status: count for status, count in statuses.items() if status not in (200, 201, 202, 400, 404, 405, 413, 415, 501)
    }
    if unexpected:
        sys.exit(f"answers that should not be: {unexpected}")


@contextmanager
def server(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a server that has all models."""
    settings = Settings(home, f"sqlite:///{home / 'vitrina.db'}", f"sqlite:///{home / 'mlflow.db'}")
    for model in MODELS:
        register(settings, model, copied(model, home), metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
        promote(settings, model, 1, "benchmark", "first")
    config = ServingConfig(port=free_port(), models=MODELS, access=AccessConfig(requests_a_minute=10_000_000))
    arguments, environment = command(settings, config)
    with running(arguments, environment, home / "server.log", config.port, "/readyz") as process:
        yield config.port, process


def copied(model: str, home: Path) -> Path:
    """A copy of a committed bundle, which registering seals; what rests on `product` is committed without its copy of that."""
    out = Path(shutil.copytree(BUNDLES / model, home / f"bundle-{model}"))
    if (out / BASE_VERSION).exists():
        shutil.copytree(BUNDLES / "product", out / BASE)
    return out


def resident(process: psutil.Process) -> float:
    """MiB of a process and all below it."""
    return sum(found.memory_info().rss for found in [process, *process.children(recursive=True)]) / 2**20


def photo(seed: int) -> bytes:
    """A JPEG, another one each time."""
    rng, buffer = np.random.default_rng(seed), io.BytesIO()
    pixels = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((60 + seed % 60, 80 + seed % 80)).save(buffer, "JPEG")
    return buffer.getvalue()


def mixed(turn: int) -> list[bytes]:
    """Requests of every kind; those of another turn have other texts."""
    return [one(turn * KINDS + place) for place in range(KINDS)]


def one(number: int) -> bytes:
    """One request; which kind it is goes round."""
    listing: dict[str, Any] = {
        "title": f"Nordal Men Blue Shirt {number}",
        "description": f"<p>A shirt &amp; more, number {number}. {'Soft cotton. ' * (number % 40)}</p>",
        "brand": "Nordal",
        "attributes": {"Fabric": "Cotton", "Lot": str(number)},
    }
    shown = {"title": listing["title"], "image": base64.b64encode(photo(number)).decode()}
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + photo(number) + b"\r\n--x--\r\n"
    posts: list[tuple[str, Any]] = [
        ("multimodal/analyze", listing),
        ("multimodal/analyze", shown),
        ("multimodal/classify", listing),
        ("price/predict", listing),
        ("embeddings", shown),
        ("embeddings/batch", {"items": [listing, {"title": f"Red dress {number}"}]}),
        ("quality/assess", listing),
        ("sentiment/analyze", {"reviews": [{"title": "Good", "text": f"Soft and warm {number}"}]}),
        ("recommendations", {"user_id": number % 50, "num_recs": 5}),
        ("recommendations/events", {"events": [{"user_id": f"u{number}", "item_id": 10_005, "kind": "view"}]}),
        ("generate/description", listing),
        ("feedback", {"prediction_id": "none", "labels": {"price": 5}}),
        ("multimodal/analyze", {"titel": "a"}),
        ("multimodal/analyze", {"image": "no photo"}),
        ("price/predict", {"price": -1}),
    ]
    others = [
        request("/v1/multimodal/analyze", form, kind="multipart/form-data; boundary=x"),
        request("/v1/multimodal/analyze", b"{", kind="text/plain"),
        request(f"/v1/{number}", b"", "GET"),
        request("/v1/models", b"", "GET"),
        request("/v1/jobs", b"", "GET"),
        request(f"/v1/jobs/{number}", b"", "GET"),
        request("/readyz", b"", "GET"),
        request("/metrics", b"", "GET"),
        request("/openapi.json", b"", "GET"),
        request("/v1/multimodal/analyze", b"", "DELETE"),
    ]
    kind = number % (len(posts) + len(others))
    if kind < len(posts):
        path, body = posts[kind]
        return request(f"/v1/{path}", json.dumps(body).encode())
    return others[kind - len(posts)]


if __name__ == "__main__":
    main()
