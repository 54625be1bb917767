"""Rows that PostgreSQL takes for `benchmarks.units`: a process that writes predictions, and what else is a transaction.

python -m benchmarks.units_rows URL SECONDS EXAMPLE        writes predictions like the one in the file; prints how many
"""

import json
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from database import jobs
from database.events import EventRow, insert_events
from database.predictions import PredictionRow, insert_predictions
from monitoring.prediction_log import BATCH


def save(row: PredictionRow, file: Path) -> None:
    """An example for `write`."""
    kept = {name: getattr(row, name) for name in ("model", "version", "endpoint", "latency_ms", "inputs", "outputs")}
    file.write_text(json.dumps(kept | {"embedding": (row.embedding or b"").hex()}), encoding="utf-8")


def read(file: Path) -> PredictionRow:
    """An example that was saved."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    return PredictionRow(**kept | {"embedding": bytes.fromhex(kept["embedding"])})


def write(url: str, seconds: float, example: PredictionRow) -> float:
    """Rows a second, in the batches of the service, once the schema is there."""
    insert_predictions(url, [replace(example, id=str(uuid.uuid4()))])
    count, begun = 0, time.monotonic()
    while time.monotonic() < begun + seconds:
        now = datetime.now(UTC)
        insert_predictions(url, [replace(example, id=str(uuid.uuid4()), created_at=now) for _ in range(BATCH)])
        count += BATCH
    return count / (time.monotonic() - begun)


def tell(url: str) -> None:
    """An event, in a transaction of its own."""
    insert_events(url, [EventRow(user_id="3", item_id="17", kind="view", occurred_at=datetime.now(UTC))])


def leave(url: str) -> None:
    """A job of one item."""
    jobs.submit(url, "embeddings/batch", [jobs.Item(place=0, sent={"title": "a shirt"})], max_waiting=10**6)


def rate(call: Callable[[], object], seconds: float, threads: int = 1) -> float:
    """Calls a second."""
    call()
    begun = time.monotonic()

    def repeat(_: int) -> int:
        count = 0
        while time.monotonic() < begun + seconds:
            call()
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(repeat, range(threads))) / (time.monotonic() - begun)


if __name__ == "__main__":
    address, spent, example = sys.argv[1:]
    sys.stdout.write(f"{write(address, float(spent), read(Path(example)))}\n")
