"""A worker of fake work in this process: DBOS allows one a process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from jobs_fakes import CONFIG, Computing, Source, kind

from configs.settings import Settings
from jobs.retraining import Retraining
from jobs.work import Work
from jobs.worker import Worker
from tests.database.conftest import postgres_server, postgres_url, url  # noqa: F401


@pytest.fixture
def working(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a worker of `computing` that runs in a thread until the test is over."""
    name = "url" if "url" in request.fixturenames else "postgres_url"
    address: str = request.getfixturevalue(name)
    with ExitStack() as running:

        def start(computing: Computing, retraining: Retraining | None = None, name: str | None = None) -> Worker:
            def make_work(stopping: threading.Event) -> Work:
                return Work(address, CONFIG, {"fake": kind(computing)}, Source(fake=1), stopping)

            worker = Worker(Settings(tmp_path, address, ""), CONFIG, make_work, retraining=retraining, name=name)
            worker.start()
            thread = threading.Thread(target=worker.run)
            thread.start()
            running.callback(thread.join, 60)
            running.callback(worker.tell_to_stop)
            return worker

        yield start
