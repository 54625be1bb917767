"""Real workers that are killed with -9 in the middle of a job: nothing is lost, nothing is kept twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from database import jobs
from database.jobs import Item
from database.predictions import newest_predictions
from tests.database.conftest import postgres_server, postgres_url  # noqa: F401
from tests.database.conftest import url as url

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
ITEMS, BATCH = 100, 10


class Workers:
    """Processes that do fake work, of which each batch takes a while."""

    def __init__(self, url: str, folder: Path, seconds: float = 0.1) -> None:
        self.url, self.folder, self.seconds = url, folder, seconds
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "jobs_fakes", self.url, str(self.folder), str(self.seconds)]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
            self.processes.append(subprocess.Popen(command, cwd=TESTS.parent, env=environment, stdout=log, stderr=log))
        return self.processes[-1]

    def computed(self) -> list[int]:
        """Values in the order in which they were computed, by all."""
        file = self.folder / "computed"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(60)


@pytest.fixture
def running(url, tmp_path):
    workers = Workers(url, tmp_path)
    yield workers
    workers.end()


def until(condition: Callable[[], object], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.02)


def left(url: str, request: str = "one") -> str:
    items = [Item(place=i, sent={"value": i}) for i in range(ITEMS)]
    return jobs.submit(url, "fake", items, request=request)[0].id


def check_done(url: str, job_id: str, log: Path) -> None:
    until(lambda: jobs.find(url, job_id).state in jobs.ENDED, log)
    job = jobs.find(url, job_id)
    assert (job.state, job.done, job.failed) == ("succeeded", ITEMS, 0)
    assert [item.result["doubled"] for item in jobs.items(url, job_id)] == [2.0 * value for value in range(ITEMS)]
    predicted = Counter(row.inputs["value"] for row in newest_predictions(url, "fake", 1000))
    assert predicted == Counter(range(ITEMS))


def test_a_worker_that_is_killed_in_the_middle_loses_at_most_the_batch_it_computed(url, running):
    log = running.folder / "log"
    job_id = left(url)
    first = running.start()
    until(lambda: jobs.find(url, job_id).done >= 3 * BATCH, log)
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    running.start()
    check_done(url, job_id, log)
    again = {value: count for value, count in Counter(running.computed()).items() if count > 1}
    assert set(again.values()) <= {2}
    assert len(again) <= BATCH


def test_another_worker_goes_on_with_what_a_killed_one_left(url, running):
    log = running.folder / "log"
    job_id = left(url)
    first = running.start()
    until((running.folder / "worker-1").exists, log)
    running.start()
    until((running.folder / "worker-2").exists, log)
    until(lambda: jobs.find(url, job_id).done >= BATCH, log)
    first.send_signal(signal.SIGKILL)
    check_done(url, job_id, log)
    assert max(Counter(running.computed()).values()) <= 2


def test_a_worker_that_is_told_to_end_keeps_its_batch_and_ends_soon(url, running):
    log = running.folder / "log"
    job_id = left(url)
    first = running.start()
    until(lambda: jobs.find(url, job_id).done >= 2 * BATCH, log)
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0, log.read_text()[-2000:]
    assert jobs.find(url, job_id).state == "running"
    assert len(running.computed()) == jobs.find(url, job_id).done
    running.start()
    check_done(url, job_id, log)
    assert Counter(running.computed()) == Counter(range(ITEMS)), "each item was computed once"
