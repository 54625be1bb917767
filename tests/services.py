"""Servers that tests start on 127.0.0.1: PostgreSQL, MLflow, ZenML and an S3 store; each is ended by whoever started it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from ports import free_port

STARTS_WITHIN = 300.0


class Postgres:
    """A throwaway cluster, which can be stopped and started again in between."""

    def __init__(self, binaries: Path, folder: Path, *, durable: bool = False) -> None:
        self.binaries, self.folder, self.port = binaries, folder, free_port()
        self.user: list[str] = []
        self.durable = durable
        if os.geteuid() == 0:  # initdb refuses root
            self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(folder, "postgres", "postgres")
        self._run("initdb", "-A", "trust", "-U", "vitrina", "-E", "UTF8", "--no-sync")
        self.start()

    @property
    def address(self) -> str:
        """`postgresql://user@host:port`."""
        return f"postgresql://vitrina@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        if not self.durable:
            options += " -c fsync=off"
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """End; `immediate` is as good as a crash."""
        self._run("pg_ctl", "-m", mode, "stop")

    def database(self, name: str) -> str:
        """Address of a new database."""
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.address}/{name}"

    def drop(self, name: str) -> None:
        """Away with a database, whoever is connected."""
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, command: str, *arguments: str) -> None:
        whole = [*self.user, str(self.binaries / command), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(whole, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, timeout=60)


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A cluster from Debian's packages; the test is skipped where there is no PostgreSQL.

    `durable`: an acknowledged transaction survives `stop("immediate")` even of the machine.
    """
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL on this machine")
    folder = Path(tempfile.mkdtemp(prefix="vitrina-pg-"))
    try:
        cluster = Postgres(binaries, folder, durable=durable)
        yield cluster
        if (folder / "data" / "postmaster.pid").exists():
            cluster.stop()
    finally:
        shutil.rmtree(folder)


def postgres_binaries() -> Path | None:
    """Folder of initdb and pg_ctl."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def mlflow_server(folder: Path, store: str | None = None, artifacts: str | None = None, **variables: str) -> Iterator[str]:
    """Address of an MLflow server; `store` and `artifacts` are its own, in `folder`, where none are given."""
    store = (store or f"sqlite:///{folder / 'mlflow.db'}").replace("postgresql://", "postgresql+psycopg://")
    environment = {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts or str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **variables,
    }
    port = free_port()
    command = ["uvicorn", "mlflow.server.fastapi_app:app", "--port", str(port), "--log-level", "warning"]
    with process(command, folder / "mlflow.log", environment, answers=f"http://127.0.0.1:{port}/health"):
        first = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search"
        httpx.get(first, timeout=STARTS_WITHIN).raise_for_status()  # makes the tables, which may take longer than clients wait
        yield f"http://127.0.0.1:{port}"


@contextmanager
def s3_server(folder: Path, *buckets: str) -> Iterator[str]:
    """Address of moto's S3 server, with `buckets`; any key opens it, and it holds objects in memory."""
    port = free_port()
    with process(
        ["moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "s3.log", {}, answers=f"http://127.0.0.1:{port}/moto-api/"
    ):
        for bucket in buckets:
            httpx.put(f"http://127.0.0.1:{port}/{bucket}").raise_for_status()
        yield f"http://127.0.0.1:{port}"


@contextmanager
def zenml_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Address of a ZenML server that lets in whoever asks, with a database of its own in `folder`."""
    port = port or free_port()
    environment = {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "True",
        "ZENML_CONFIG_PATH": str(folder / "zenml-server"),
        "ZENML_LOCAL_STORES_PATH": str(folder / "zenml-server" / "stores"),
        "ZENML_ANALYTICS_OPT_IN": "false",
    }
    command = ["uvicorn", "zenml.zen_server.zen_server_api:app", "--port", str(port), "--log-level", "warning"]
    with process(command, folder / "zenml.log", environment, answers=f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def process(module: list[str], log: Path, environment: Mapping[str, str], answers: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m` of a server until it answers GET with 200 and, afterwards, until the test has ended."""
    with log.open("w") as file:
        command = [sys.executable, "-m", *module]
        started = subprocess.Popen(command, env=os.environ | environment, cwd=log.parent, stdout=file, stderr=file)
    try:
        until(lambda: _answers(answers), lambda: started.poll() is None, lambda: log.read_text()[-2000:])
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
        started.wait(30)


def until(
    done: Callable[[], bool],
    alive: Callable[[], bool] = lambda: True,
    told: Callable[[], str] = lambda: "",
    within: float = STARTS_WITHIN,
) -> None:
    """Wait for `done`, as long as what it waits for is alive; fails with what is `told`."""
    deadline = time.monotonic() + within
    while not done():
        assert alive() and time.monotonic() < deadline, told()
        time.sleep(0.2)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
