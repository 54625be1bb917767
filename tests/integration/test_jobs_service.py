"""`vitrina serve` takes a job and does it, with the committed product model; its worker ends with it."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from commands import VITRINA, environment, home_with_product
from homes import settings_of
from ports import free_port

from configs.settings import Settings
from database.predictions import newest_predictions
from registry.promotion import promote

ITEMS = [{"title": f"Nordal Men Blue Striped Shirt {number}"} for number in range(40)]


class Server:
    """A server process, and what it runs."""

    def __init__(self, home: Path, port: int, log: Path, *more: str) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        command = [VITRINA, "serve", "--port", str(port), "--set", "models=[product]", *more]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=environment(home), stdout=out, stderr=out)

    def ask(self, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, named), timeout=60) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        try:
            return bool(self.ask("/readyz"))
        except (urllib.error.URLError, OSError):
            return False

    def workers(self) -> list[psutil.Process]:
        """Workers of jobs among the processes below this one."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = child.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if "worker" in line and "beside.py" not in " ".join(line):
                found.append(child)
        return found

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = home_with_product(tmp_path / "home")
    settings = settings_of(home)
    promote(settings, "product", 1, "test", "first")
    return settings


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[Server]:
    server = Server(settings.home, free_port(), tmp_path / "server.log")
    try:
        server.until(server.is_ready)
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(60)
        except subprocess.TimeoutExpired:
            server.process.kill()


@pytest.mark.slow
def test_a_job_gives_what_a_request_would_have_and_the_worker_is_started_again(server: Server, settings: Settings) -> None:
    job = server.ask("/v1/embeddings/batch", {"items": ITEMS}, Prefer="respond-async")
    server.until(lambda: server.workers())
    for worker in server.workers():
        worker.send_signal(signal.SIGKILL)
    server.until(lambda: server.ask(f"/v1/jobs/{job['id']}")["state"] == "succeeded")
    said = server.ask(f"/v1/jobs/{job['id']}")
    assert (said["items"], said["done"], said["failed"], said["model"]["version"]) == (40, 40, 0, 1)
    with urllib.request.urlopen(f"{server.url}/v1/jobs/{job['id']}/result", timeout=60) as answer:
        lines = [json.loads(line) for line in answer.read().splitlines()]
    direct = server.ask("/v1/embeddings/batch", {"items": ITEMS[:8]})
    for line, item in zip(lines, direct["items"], strict=False):
        assert line["result"]["embedding"] == pytest.approx(item["embedding"], abs=1e-5)
    logged = newest_predictions(settings.database_url, "product", 1000)
    assert len(logged) >= 40

    [worker] = server.workers()
    server.process.terminate()
    assert server.process.wait(60) in (0, -signal.SIGTERM)
    assert worker.wait(30) is None


@pytest.mark.slow
def test_what_a_service_started_ends_where_it_is_killed(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    server = Server(settings.home, port, tmp_path / "server.log")
    try:
        server.until(lambda: server.is_ready() and server.workers())
        started = psutil.Process(server.process.pid).children(recursive=True)
    finally:
        server.process.kill()
        server.process.wait(30)
    _, alive = psutil.wait_procs(started, timeout=60)
    assert alive == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


@pytest.mark.slow
def test_without_a_worker_jobs_wait_for_one(settings: Settings, tmp_path: Path) -> None:
    server = Server(settings.home, free_port(), tmp_path / "server.log", "--no-worker")
    try:
        server.until(server.is_ready)
        job = server.ask("/v1/embeddings/batch", {"items": ITEMS[:2]}, Prefer="respond-async")
        assert server.workers() == []
        assert server.ask(f"/v1/jobs/{job['id']}")["state"] == "queued"
        command, told = [VITRINA, "worker", "--id", "mine"], environment(settings.home)
        worker = subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)
        try:
            server.until(lambda: server.ask(f"/v1/jobs/{job['id']}")["state"] == "succeeded")
            second = subprocess.run(command, env=told, capture_output=True, text=True, timeout=120)
            assert (second.returncode, second.stderr) == (
                2,
                "vitrina: a worker called 'mine' runs; choose another name with --id, or none\n",
            )
        finally:
            worker.terminate()
            _, said = worker.communicate(timeout=60)
        assert worker.returncode == 0
        assert "mine waits for jobs" in said
    finally:
        server.process.terminate()
        server.process.wait(60)
