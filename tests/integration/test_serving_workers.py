"""Two worker processes behind one address: kill -9 costs no request, and a new worker takes the place of the old one."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import home_with_product
from homes import settings_of
from ports import free_port

from configs.schema import ServingConfig
from registry.promotion import promote
from serving.run import command

CLIENTS = 3
PAUSE = 0.02
"""Seconds between an answer and the client's next request: a new worker has to start beside them."""
REQUESTS = (
    ("/v1/multimodal/classify", {"title": "Nordal Men Blue Striped Shirt"}),
    ("/v1/price/predict", {"title": "Nordal Men Blue Striped Shirt", "brand": "Nordal"}),
    ("/v1/models", None),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process."""
    home = home_with_product(tmp_path / "home")
    settings = settings_of(home)
    promote(settings, "product", 1, "test", "first")
    port = free_port()
    arguments, environment = command(settings, ServingConfig(port=port, workers=2, poll_seconds=0.5))
    log = tmp_path / "server.log"
    with log.open("wb") as out, subprocess.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or answers(url) == 2)
            assert process.poll() is None, log.read_text()[-2000:]
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            assert process.wait(60) == 0, log.read_text()[-2000:]


def ask(url: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=100) as answer:
        return answer.status, answer.read()


def answers(url: str) -> int:
    """How many workers say that they answer with version 1."""
    try:
        text = ask(f"{url}/metrics")[1].decode()
    except (urllib.error.URLError, OSError):
        return 0
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith("vitrina_model_info{"))


def workers(server: psutil.Process) -> set[int]:
    return {child.pid for child in server.children() if child.status() != psutil.STATUS_ZOMBIE}


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


class Clients:
    """Threads that go on asking until the block ends."""

    def __init__(self, url: str) -> None:
        self.url, self.done, self.failed, self.stopped = url, 0, list[str](), threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def _ask(self, turn: int) -> None:
        while not self.stopped.is_set():
            path, body = REQUESTS[turn % len(REQUESTS)]
            turn += 1
            try:
                _, content = ask(self.url + path, body)
                json.loads(content)
            except (OSError, ValueError) as error:
                self.failed.append(f"{path}: {error!r}")
            self.done += 1
            time.sleep(PAUSE)

    def __enter__(self) -> "Clients":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.slow
def test_no_request_is_lost_when_workers_are_killed(server: tuple[str, psutil.Process]) -> None:
    url, process = server
    first = workers(process)
    assert len(first) == 2
    with Clients(url) as clients:
        until(lambda: clients.done > 20)
        os.kill(min(first), signal.SIGKILL)
        until(lambda: min(first) not in workers(process) and len(workers(process)) == 2)  # another one was started
        until(lambda: answers(url) == 2)  # and answers
        os.kill(max(first), signal.SIGKILL)
        before = clients.done
        until(lambda: clients.done > before + 50)
    assert clients.failed == []
    assert not first & workers(process)
