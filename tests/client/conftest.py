"""The service with predictors that answer without a model, on a port of its own, and both faces of the client before it."""

import asyncio
import inspect
import threading
from contextlib import contextmanager

import pytest
import uvicorn
from homes import settings_of

from serving.app import create_app
from serving.routes import discover
from tests.serving.conftest import CONFIG, Source, wait_until
from tests.serving.test_jobs import work
from vitrina_client import AsyncClient, Client

ALL = CONFIG.model_copy(update={"models": tuple(discover())})


@contextmanager
def served(home, config=ALL):
    """Address of the service, and of its database in `home`."""
    settings = settings_of(home)
    app = create_app(settings, config, Source())
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with Client(url) as client:
            wait_until(lambda: client.get_readyz().ready)
        yield url, settings.database_url
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The service, with a worker beside it."""
    with served(tmp_path_factory.mktemp("served")) as (url, database):
        over = threading.Event()
        worker = threading.Thread(target=_work, args=(database, over))
        worker.start()
        yield url
        over.set()
        worker.join(60)


def _work(url, over):
    """Does jobs as they come."""
    while not over.wait(0.05):
        work(url)


async def _all(answers):
    return [answer async for answer in answers]


class Face:
    """Either client; its methods answer at once."""

    def __init__(self, kind, *arguments, **options):
        self.waits = kind is AsyncClient
        self._runner = asyncio.Runner()
        self.client = kind(*arguments, **options)

    def __getattr__(self, name):
        return lambda *arguments, **options: self.run(getattr(self.client, name)(*arguments, **options))

    def run(self, answer):
        """What a method answers; of one that answers bit by bit a list."""
        if inspect.isasyncgen(answer):
            return self._runner.run(_all(answer))
        if inspect.isgenerator(answer):
            return list(answer)
        return self._runner.run(answer) if asyncio.iscoroutine(answer) else answer

    def close(self):
        self.run(self.client.aclose() if self.waits else self.client.close())
        self._runner.close()


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def face(request):
    """Makes faces of one kind."""
    made = []

    def make(*arguments, **options):
        made.append(Face(request.param, *arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds):
        self.sleep(seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("vitrina_client.retries.time", clock)
    monkeypatch.setattr("vitrina_client.sync.connection.sleep", clock.sleep)
    monkeypatch.setattr("vitrina_client.aio.connection.sleep", clock.sleep_async)
    monkeypatch.setattr("vitrina_client.sync.jobs.time", clock)
    monkeypatch.setattr("vitrina_client.aio.jobs.time", clock)
    monkeypatch.setattr("vitrina_client.sync.jobs.sleep", clock.sleep)
    monkeypatch.setattr("vitrina_client.aio.jobs.sleep", clock.sleep_async)
    monkeypatch.setattr("vitrina_client.retries.random.uniform", lambda low, high: high)
    return clock
