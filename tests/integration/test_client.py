"""The Python client before `vitrina serve` and its worker, with the committed product model."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from commands import VITRINA, environment, home_with_product
from homes import settings_of
from ports import free_port

from registry.promotion import promote
from vitrina_client import AsyncClient, Client, ConnectionFailed, models

LISTINGS = [{"title": f"Nordal Men Blue Striped Shirt {number}"} for number in range(300)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = home_with_product(tmp_path_factory.mktemp("client") / "home")
    promote(settings_of(home), "product", 1, "test", "first")
    return home


@contextmanager
def running(home: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of ours, ended with the block."""
    with (home / f"{arguments[0]}.log").open("ab") as out:
        process = subprocess.Popen([VITRINA, *arguments], env=environment(home), stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def serving(home: Path, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The service, from when it is ready; its worker is another process."""
    with running(home, "serve", "--port", str(port), "--no-worker", "--set", "models=[product]") as process:
        deadline = time.monotonic() + 120
        while not ready(port):
            said = (home / "serve.log").read_text()[-3000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield process


def ready(port: int) -> bool:
    with Client(f"http://127.0.0.1:{port}", retries=0) as client:
        try:
            return client.get_readyz().ready
        except ConnectionFailed:
            return False


@pytest.mark.slow
def test_a_client_waits_for_its_job_while_the_service_is_killed_and_comes_back(home: Path) -> None:
    port = free_port()
    with Client(f"http://127.0.0.1:{port}") as client:
        with serving(home, port) as process:
            assert client.analyze(**LISTINGS[0]).model.version == 1
            job = client.embed_batch_job(LISTINGS)
            ended: list[models.Job] = []
            waiting = threading.Thread(target=lambda: ended.append(job.wait(timeout=240, progress=False)))
            waiting.start()
            killed = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            for one in killed:  # its supervisor's children outlive it, and would go on answering
                one.kill()
            process.wait(60)
        with running(home, "worker"), serving(home, port):
            waiting.join(240)
            assert [(seen.state, seen.done) for seen in ended] == [("succeeded", len(LISTINGS))]
            done = list(job.result())
            assert [one.place for one in done] == list(range(len(LISTINGS)))
            assert list(job.failures()) == []
            direct = client.embed_batch(LISTINGS[:8])
            for one, item in zip(done, direct.items, strict=False):
                assert one.result.embedding == pytest.approx(item.embedding, abs=1e-5)
            assert asyncio.run(_at_once(port)) == 1


async def _at_once(port: int) -> int:
    """How many versions answer 50 requests that are sent together."""
    async with AsyncClient(f"http://127.0.0.1:{port}") as client:
        answers = await asyncio.gather(*(client.classify(**listing) for listing in LISTINGS[:50]))
    return len({answer.model.version for answer in answers})
