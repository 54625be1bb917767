"""A worker looks at models that answer, at one at a time, and forgets old jobs."""

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jobs_fakes import Computing

from configs.schema import JobsConfig
from configs.settings import Settings
from database import jobs
from database.engine import reading
from database.jobs import Item
from database.predictions import PredictionRow, insert_predictions
from jobs.errors import Stopping
from jobs.retraining import Retraining, cron
from operations.retraining import WatchOutcome

NOTHING = WatchOutcome(model="", version=3, verdict="no drift", rows=10, reasons=(), report="report.html")
LOOK = """
import json, os, pathlib, sys, time
folder = pathlib.Path({folder!r})
model = sys.argv[sys.argv.index("--model") + 1]
with (folder / "looks").open("a") as file:
    file.write(json.dumps([model, os.getpid(), "begin", time.monotonic()]) + "\\n")
time.sleep({seconds})
with (folder / "looks").open("a") as file:
    file.write(json.dumps([model, os.getpid(), "end", time.monotonic()]) + "\\n")
print({said!r})
raise SystemExit({code})
"""


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vitrina.db'}"


def retraining(url: str, folder: Path, seconds: float = 0, code: int = 0, said: str | None = None) -> Retraining:
    said = NOTHING.model_dump_json() if said is None else said
    script = LOOK.format(folder=str(folder), seconds=seconds, said=said, code=code)
    config = JobsConfig(watch_seconds=1)
    return Retraining(Settings(folder, url, ""), config, "demo", monitor=[sys.executable, "-c", script])


def looks(folder: Path) -> list[list]:
    file = folder / "looks"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def predict(url: str, model: str) -> None:
    row = PredictionRow(model=model, version=3, endpoint="x", latency_ms=1.0, inputs={}, outputs={})
    insert_predictions(url, [row])


@pytest.mark.parametrize(
    ("seconds", "expression"),
    [
        (0.5, "*/1 * * * * *"),
        (1, "*/1 * * * * *"),
        (7, "*/6 * * * * *"),
        (59, "*/30 * * * * *"),
        (60, "0 */1 * * * *"),
        (300, "0 */5 * * * *"),
        (500, "0 */6 * * * *"),
        (3600, "0 0 */1 * * *"),
        (10**6, "0 0 */24 * * *"),
    ],
)
def test_a_period_is_the_longest_even_one_that_is_not_longer(seconds, expression):
    assert cron(seconds) == expression


def test_a_model_is_looked_at_when_it_has_answered_since(url, tmp_path):
    watching = retraining(url, tmp_path)
    assert watching.due() == []
    predict(url, "product")
    predict(url, "quality")
    assert watching.due() == ["product", "quality"]
    assert watching.look("product") == "product version 3: no drift"
    assert watching.due() == ["quality"]
    predict(url, "product")
    assert watching.due() == ["product", "quality"]


def test_a_look_that_said_no_is_repeated(url, tmp_path):
    refused = NOTHING.model_copy(update={"verdict": "drift", "retraining": "version 4 registered, gates failed", "refused": "no"})
    watching = retraining(url, tmp_path, code=1, said=refused.model_dump_json())
    predict(url, "product")
    assert watching.look("product") == "product version 3: drift · version 4 registered, gates failed · no"
    assert watching.due() == ["product"]


def test_a_look_that_failed_says_where_to_read_why(url, tmp_path):
    watching = retraining(url, tmp_path, code=2, said="")
    assert watching.look("product") == "product: the look ended with exit code 2; the lines before say why"


@pytest.mark.slow
def test_looks_never_overlap_nor_pile_up(url, tmp_path, working):
    predict(url, "product")
    predict(url, "quality")
    working(Computing(lambda _: None), retraining=retraining(url, tmp_path, seconds=1.5, code=1))
    until(lambda: len(looks(tmp_path)) >= 8)
    told = looks(tmp_path)[:8]
    assert [what for _, _, what, _ in told] == ["begin", "end"] * 4
    assert all(first[1] == second[1] for first, second in zip(told[::2], told[1::2], strict=True))
    assert {model for model, *_ in told} == {"product", "quality"}
    with reading(url) as connection:
        waiting = connection.exec_driver_sql("SELECT count(*) FROM workflow_status WHERE name = 'look' AND status = 'ENQUEUED'")
        assert waiting.scalar() <= 2


@pytest.mark.slow
def test_jobs_are_done_while_a_look_takes_long(url, tmp_path, working):
    predict(url, "product")
    working(Computing(lambda _: None), retraining=retraining(url, tmp_path, seconds=600))
    until(lambda: looks(tmp_path))
    job_id = jobs.submit(url, "fake", [Item(place=0, sent={"value": 1})])[0].id
    until(lambda: jobs.find(url, job_id).state == "succeeded")
    assert len(looks(tmp_path)) == 1


@pytest.mark.slow
def test_a_look_ends_with_its_worker(url, tmp_path, working):
    predict(url, "product")
    first = working(Computing(lambda _: None), retraining=retraining(url, tmp_path, seconds=600))
    until(lambda: looks(tmp_path))
    [[_, pid, _, _]] = looks(tmp_path)
    first.tell_to_stop()
    until(lambda: not psutil.pid_exists(pid))
    until(lambda: not first._doing)


def test_a_look_that_is_told_to_stop_is_no_result(url, tmp_path):
    watching = retraining(url, tmp_path, seconds=600)
    stopping = threading.Event()
    stopping.set()
    watching._stopping = stopping
    with pytest.raises(Stopping):
        watching.look("product")


def test_jobs_that_ended_long_ago_are_forgotten(url, tmp_path):
    job_id = jobs.submit(url, "fake", [Item(place=0, sent={}, state="failed", error={})])[0].id
    watching = retraining(url, tmp_path)
    assert watching.forget() == 0
    watching._config = JobsConfig(keep_days=1e-9)
    assert watching.forget() == 1
    assert job_id not in [job.id for job in jobs.newest(url)]
