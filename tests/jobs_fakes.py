"""A kind of work that notes what it computes, and a worker of it; `python -m jobs_fakes URL FOLDER SECONDS` runs one."""

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.schema import JobsConfig, ServingConfig
from configs.settings import Settings
from database.predictions import PredictionRow
from registry.errors import RegistryError
from serving.errors import ApiError, InvalidInput, Unavailable
from serving.kinds import Done, Kind
from serving.schemas import RequestModel, ResponseModel
from serving.slots import Loaded


class Number(RequestModel):
    """An item.

    `then` says what happens at it: "wrong", "away" (each time), "away once", "breaks", "breaks the batch", "nan".
    """

    value: int
    then: str = ""


class Doubled(ResponseModel):
    """Its answer."""

    doubled: float
    version: int


class Source:
    """Versions of a model that needs no files; `champions` may move."""

    def __init__(self, **champions: int) -> None:
        self.champions = champions
        self.loads: list[tuple[str, int]] = []

    def champion(self, model: str) -> int:
        if model not in self.champions:
            raise RegistryError(f"model {model!r} has no champion; `vitrina promote {model} VERSION --reviewer WHO` makes one")
        return self.champions[model]

    def load(self, model: str, version: int) -> Any:
        self.loads.append((model, version))
        return object()

    def digest(self, model: str, version: int) -> str:
        return f"{model} {version}"


class Computing:
    """Notes the values of each call."""

    def __init__(self, note: Any, seconds: float = 0.0) -> None:
        self.note, self.seconds = note, seconds
        self.once: set[int] = set()
        self.calls: list[list[int]] = []

    def __call__(self, loaded: Loaded, config: ServingConfig, items: Sequence[Number]) -> list[Done | ApiError]:
        self.calls.append([item.value for item in items])
        self.note([item.value for item in items])
        time.sleep(self.seconds)
        if any(item.then == "breaks" for item in items) or (len(items) > 1 and any("batch" in item.then for item in items)):
            raise RuntimeError("the model broke")
        return [self.outcome(item, loaded.version) for item in items]

    def outcome(self, item: Number, version: int) -> Done | ApiError:
        if item.then == "wrong":
            return InvalidInput("value: is wrong", "value")
        if item.then == "away" or (item.then == "away once" and item.value not in self.once):
            self.once.add(item.value)
            return Unavailable("out_of_memory", "not now")
        row = PredictionRow(
            model="fake", version=version, endpoint="fake", latency_ms=1.0, inputs={"value": item.value}, outputs={}
        )
        doubled = float("nan") if item.then == "nan" else 2.0 * item.value
        return Done(Doubled(doubled=doubled, version=version), (row,))


def kind(computing: Computing, batch: int = 4, **more: Any) -> Kind:
    return Kind(name="fake", model="fake", item=Number, batch=batch, answer=computing, **more)


CONFIG = ServingConfig(jobs=JobsConfig(poll_seconds=0.05, retry_seconds=0.01, attempts=3))


def main(url: str, folder: str, seconds: str = "0") -> None:
    import os
    import signal

    from jobs.work import Work
    from jobs.worker import Worker

    def note(values: list[int]) -> None:
        with (Path(folder) / "computed").open("a") as file:
            file.write("".join(f"{value}\n" for value in values))

    kinds = {"fake": kind(Computing(note, float(seconds)), batch=10)}

    def make_work(stopping: threading.Event) -> Work:
        return Work(url, CONFIG, kinds, Source(fake=1), stopping)

    worker = Worker(Settings(Path(folder), url, ""), CONFIG, make_work)
    signal.signal(signal.SIGTERM, lambda *_: worker.tell_to_stop())
    worker.start()
    (Path(folder) / worker.name).touch()
    code = 0 if worker.run() else 1
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
