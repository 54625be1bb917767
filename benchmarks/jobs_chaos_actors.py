"""The processes that `benchmarks.jobs_chaos` kills: one that leaves jobs, and a worker whose computation is a wait."""

import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs_chaos import BATCH, COMPUTE_SECONDS, CONFIG, ITEMS
from configs.errors import VitrinaError
from configs.schema import ServingConfig
from configs.settings import Settings
from database import jobs
from database.jobs import Item
from database.predictions import PredictionRow
from jobs.work import Work
from jobs.worker import Worker
from serving.errors import ApiError
from serving.kinds import Done, Kind
from serving.schemas import RequestModel, ResponseModel
from serving.slots import Loaded


class Part(RequestModel):
    """An item."""

    job: str
    place: int


class Answered(ResponseModel):
    """Its answer."""

    place: int


def submit(url: str, folder: Path, number: int) -> None:
    """Leave one job after the other; a name is given up only when its job's id has been written down."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    seen = folder / f"seen-{number}"
    done = len(seen.read_text().splitlines()) if seen.exists() else 0
    while not over.is_set():
        name = f"{number}-{done}"
        items = [Item(place=place, sent={"job": name, "place": place}) for place in range(ITEMS)]
        try:
            job, _ = jobs.submit(url, "wait", items, request=name, max_waiting=10)
        except VitrinaError:  # full, or the database is away: the same again
            over.wait(0.2)
            continue
        with seen.open("a") as file:
            file.write(f"{job.id}\n")
        done += 1


def work(url: str, folder: Path, number: int) -> int:
    """Do jobs until told to stop."""
    counted = itertools.count()
    notes = folder / f"computed-{number}"

    def note(**values: Any) -> None:
        with notes.open("a") as file:
            file.write(json.dumps({**values, "pid": os.getpid(), "at": time.monotonic()}) + "\n")

    def answer(loaded: Loaded, config: ServingConfig, items: Sequence[Part]) -> list[Done | ApiError]:
        call = next(counted)
        note(what="begin", number=call, job=items[0].job, places=[item.place for item in items])
        time.sleep(COMPUTE_SECONDS)
        note(what="end", number=call)
        row = {"model": "wait", "version": loaded.version, "endpoint": "wait", "latency_ms": 1.0, "outputs": {}}
        return [Done(Answered(place=item.place), (PredictionRow(inputs=item.model_dump(), **row),)) for item in items]

    def make_work(stopping: threading.Event) -> Work:
        kind = Kind(name="wait", model="wait", item=Part, batch=BATCH, answer=answer)
        return Work(url, CONFIG, {"wait": kind}, Versions(), stopping)

    worker = Worker(Settings(folder, url, ""), CONFIG, make_work)
    signal.signal(signal.SIGTERM, lambda *_: worker.tell_to_stop())
    worker.start()
    return 0 if worker.run() else 1


class Versions:
    """One version of a model that is nothing."""

    def champion(self, model: str) -> int:
        """The version."""
        return 1

    def load(self, model: str, version: int) -> Any:
        """Nothing to load."""
        return object()

    def digest(self, model: str, version: int) -> str:
        """Nothing is kept by it."""
        return ""


if __name__ == "__main__":
    what, url, folder, number = sys.argv[1:]
    os._exit({"submit": submit, "work": work}[what](url, Path(folder), int(number)) or 0)
