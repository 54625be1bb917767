"""A gateway and two services of models as processes: what one holds is answered, its kill -9 costs its own models alone."""

import json
import os
import pickle
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import committed
import psutil
import pytest
from commands import home_with_product
from homes import settings_of
from ports import free_port

from configs.schema import ServingConfig
from configs.settings import Settings
from registry.promotion import promote
from registry.register import register
from serving.run import command
from tests.serving.test_attacks import Bomb

TOKEN = "0123456789abcdef" * 4
MODELS = ("product", "describer")
LISTING = {"title": "Nordal Men Blue Striped Shirt", "brand": "Nordal"}
ROUTES = {"product": "/v1/multimodal/analyze", "describer": "/v1/generate/description"}


class Deployed(NamedTuple):
    """Addresses by name, `gateway` among them, and what starts a service of a model again."""

    urls: dict[str, str]
    processes: dict[str, psutil.Popen]
    start: Callable[[str], None]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    root = tmp_path_factory.mktemp("gateway")
    home = home_with_product(root / "home")
    settings = settings_of(home)
    bundle = committed.copied("describer", root / "describer")
    register(settings, "describer", bundle, metrics={}, config={}, tags={"vitrina.gates": "passed"}, reports={})
    for model in MODELS:
        promote(settings, model, 1, "test", "first")
    ports = {name: free_port() for name in (*MODELS, "gateway")}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    processes: dict[str, psutil.Popen] = {}
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patched:
        patched.setenv("VITRINA_INNER_TOKEN", TOKEN)

        def start(name: str) -> None:
            models = {"models": ()} if name == "gateway" else {"models": (name,)}
            upstreams = {model: urls[model] for model in MODELS} if name == "gateway" else {}
            config = ServingConfig(port=ports[name], poll_seconds=0.5, upstreams=upstreams, **models)
            processes[name] = stack.enter_context(running(settings, config, root / f"{name}.log"))

        for name in ports:
            start(name)
        until(lambda: ready(urls["gateway"]) or any(process.poll() is not None for process in processes.values()))
        logs = {name: (root / f"{name}.log").read_text()[-1000:] for name in ports}
        assert all(process.poll() is None for process in processes.values()), logs
        yield Deployed(urls, processes, start)


@contextmanager
def running(settings: Settings, config: ServingConfig, log: Path) -> Iterator[psutil.Popen]:
    arguments, environment = command(settings, config)
    with log.open("ab") as out, psutil.Popen(arguments, env=environment, stdout=out, stderr=out) as process:
        yield process
        deadline = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < deadline, "the server did not end"
            process.terminate()  # again: BentoML's supervisor does not hear it while it looks after its workers
            with suppress(psutil.TimeoutExpired):
                process.wait(5)


def ask(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, told), timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}") | {"retry": error.headers.get("Retry-After")}


def ready(url: str) -> bool:
    try:
        return ask(f"{url}/readyz")[0] == 200
    except (urllib.error.URLError, OSError):
        return False


def until(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.2)


@pytest.mark.slow
def test_each_service_answers_through_the_gateway_and_to_it_alone(deployed: Deployed, tmp_path: Path) -> None:
    gateway = deployed.urls["gateway"]
    for model, path in ROUTES.items():
        status, said = ask(gateway + path, LISTING)
        assert (status, said["model"]) == (200, {"name": model, "version": 1})
        assert ask(deployed.urls[model] + path, LISTING)[0] == 401
    body = pickle.dumps(Bomb(tmp_path / "owned"))
    kind = {"Content_Type": "application/vnd.bentoml+pickle", "Payload_Container": "DefaultContainer", "Args_Number": "1"}
    for path in (*ROUTES.values(), "/", "/predict"):
        assert ask(gateway + path, body, **kind)[0] in (404, 405, 415)
        assert ask(deployed.urls["product"] + path, body, Authorization=f"Bearer {TOKEN}", **kind)[0] in (404, 405, 415)
    assert not (tmp_path / "owned").exists()


@pytest.mark.slow
def test_a_killed_service_costs_its_own_models_and_comes_back(deployed: Deployed) -> None:
    gateway = deployed.urls["gateway"]
    killed = deployed.processes["describer"]
    for child in [*killed.children(recursive=True), killed]:
        os.kill(child.pid, signal.SIGKILL)
    killed.wait(30)
    status, said = ask(gateway + ROUTES["describer"], LISTING)
    assert (status, said["error"]["code"], said["retry"]) == (503, "upstream_away", "5")
    until(lambda: ask(f"{gateway}/readyz")[0] == 503, 30)
    assert ask(gateway + ROUTES["product"], LISTING)[0] == 200
    deployed.start("describer")
    until(lambda: ready(gateway))
    assert ask(gateway + ROUTES["describer"], LISTING)[0] == 200
