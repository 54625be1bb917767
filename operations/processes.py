"""The processes of a local stack: MLflow UI, ZenML dashboard, API and worker.

Each runs in a session of its own, writes to `$VITRINA_HOME/logs/<name>.log` and is known by its pid file
`$VITRINA_HOME/run/<name>.json`. A pid counts only while the process behind it is the one that was started.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import psutil
from pydantic import Field

from configs.errors import VitrinaError
from configs.schema import ServingConfig, StrictModel
from configs.settings import Settings
from database.errors import DatabaseError
from database.states import last_runs
from operations.dashboard import decline_form

STOP_SECONDS = 20.0


class Clock(Protocol):
    """What waits; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Let them pass."""
        ...


class StackError(VitrinaError):
    """A process of the stack cannot be started or stopped."""


class ProcessState(StrictModel):
    """One process as `vitrina status` shows it."""

    name: str
    state: Literal["running", "starting", "stopped"]
    pid: int | None
    url: str
    log: str
    workers: tuple[int, ...] = Field((), description="pids of the processes that it runs by itself")


class Look(StrictModel):
    """What the last look at a model said."""

    model: str
    version: int
    verdict: str
    at: datetime


@dataclass(frozen=True)
class Process:
    """How to start a process, the address that answers once it is up ("" for one that answers nobody), what it is told then."""

    name: str
    command: tuple[str, ...]
    url: str = ""
    probe: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    greet: Callable[[str], None] | None = None


def stack(
    settings: Settings,
    serving: ServingConfig,
    environment: str,
    watch_seconds: float,
    mlflow_port: int,
    zenml_port: int,
    chosen: Sequence[str] = (),
) -> list[Process]:
    """The four processes, configured from `configs/<environment>`; all but the API listen on 127.0.0.1.

    `chosen` are options with which `serving` was made from that configuration: API and worker are given them, too.
    """
    python, vitrina = sys.executable, str(Path(sys.executable).with_name("vitrina"))
    host = f"[{serving.host}]" if ":" in serving.host else serving.host  # IPv6
    api = f"http://{host}:{serving.port}"
    tracking, dashboard = f"http://127.0.0.1:{mlflow_port}", f"http://127.0.0.1:{zenml_port}"
    mlflow = (
        *(python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow_port), "--workers", "1"),
        *("--backend-store-uri", settings.tracking_uri, "--default-artifact-root", str(settings.artifact_root)),
    )
    zenml = (
        *(python, "-m", "uvicorn", "zenml.zen_server.zen_server_api:app"),
        *("--host", "127.0.0.1", "--port", str(zenml_port), "--log-level", "warning"),
    )
    zenml_environment = {
        "ZENML_SERVER": "true",
        "ZENML_SERVER_AUTH_SCHEME": "NO_AUTH",  # one user, loopback only; a shared server has its own
        "ZENML_SERVER_DEPLOYMENT_TYPE": "other",
        "ZENML_SERVER_AUTO_ACTIVATE": "True",
    }
    own_mlflow = settings.tracking_uri.startswith("sqlite")
    linked = ("--set", f"mlflow_ui={tracking}") if own_mlflow and not serving.mlflow_ui else ()
    page = {"VITRINA_PLAYGROUND": settings.playground or api} if serving.playground.enabled else {}  # for links of reports
    processes = [
        Process("zenml", zenml, dashboard, f"{dashboard}/health", zenml_environment, decline_form),
        Process(
            "api",
            (
                *(vitrina, "serve", "--no-worker", "--env", environment, *chosen),
                *("--host", serving.host, "--port", str(serving.port), "--workers", str(serving.workers)),
                *linked,
            ),
            api,
            f"{api}/livez",
        ),
        Process(
            "worker",
            (vitrina, "worker", "--env", environment, "--set", f"jobs.watch_seconds={watch_seconds:g}", *chosen),
            environment=page,
        ),
    ]
    if own_mlflow:
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        processes.insert(0, Process("mlflow", mlflow, tracking, f"{tracking}/health", quiet))
    return processes


def start(settings: Settings, processes: list[Process], wait_seconds: float, clock: Clock = time) -> list[ProcessState]:
    """Start what does not run yet and wait until every address answers.

    Raises:
        StackError: a port is taken, or a process ended or did not answer in time; its log is named.
        VitrinaError: a process does not take what it is told once it is up.
    """
    for process in processes:
        if _pid(settings, process.name) is None:
            _require_free_port(process)
            _spawn(settings, process)
    deadline = clock.monotonic() + wait_seconds
    for process in processes:
        while (state := status(settings, process)).state != "running":
            if state.state == "stopped":
                raise StackError(f"{process.name} ended while starting; see {state.log}")
            if clock.monotonic() > deadline:
                raise StackError(f"{process.name} does not answer at {process.probe} after {wait_seconds:g} s; see {state.log}")
            clock.sleep(0.5)
        if process.greet is not None:
            process.greet(state.url)
    return [status(settings, process) for process in processes]


def stop(settings: Settings, processes: list[Process], clock: Clock = time) -> list[str]:
    """End what runs, the newest first, by force where it does not end by itself; returns the names of what was ended."""
    stopped = []
    for process in reversed(processes):
        pid = _pid(settings, process.name)
        if pid is None:
            continue
        os.killpg(pid, signal.SIGTERM)
        deadline = clock.monotonic() + STOP_SECONDS
        while _pid(settings, process.name) is not None:
            if clock.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                deadline += STOP_SECONDS
            clock.sleep(0.1)
        _pid_file(settings, process.name).unlink(missing_ok=True)
        stopped.append(process.name)
    return stopped


def status(settings: Settings, process: Process) -> ProcessState:
    """Whether the process runs, and whether it answers where it was told to when it was started."""
    noted = _noted(settings, process.name)
    log = str(_log(settings, process.name))
    if noted is None:
        return ProcessState(name=process.name, state="stopped", pid=None, url="", log=log)
    answers = not noted.probe or _answers(noted.probe)
    return ProcessState(
        name=process.name,
        state="running" if answers else "starting",
        pid=noted.pid,
        url=noted.url,
        log=log,
        workers=_children(noted.pid),
    )


def last_looks(settings: Settings) -> list[Look]:
    """The last look at each model that was looked at; none where the database cannot be read."""
    try:
        runs = last_runs(settings.database_url)
    except DatabaseError:
        return []
    return [
        Look(model=model, version=run.version, verdict=str(run.verdict.get("summary", "")), at=run.created_at)
        for model, run in sorted(runs.items())
    ]


def _spawn(settings: Settings, process: Process) -> None:
    log = _log(settings, process.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            process.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | dict(process.environment),
            start_new_session=True,
        )
    file = _pid_file(settings, process.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    noted = _Noted(pid=child.pid, born=psutil.Process(child.pid).create_time(), url=process.url, probe=process.probe)
    file.write_text(noted.model_dump_json(), encoding="utf-8")


def _require_free_port(process: Process) -> None:
    if not process.url:
        return
    address = urlsplit(process.url)
    try:
        socket.create_connection((address.hostname, address.port)).close()
    except OSError:
        return
    raise StackError(f"port {address.port} for {process.name} is taken by another program; choose another one")


class _Noted(StrictModel):
    """The pid file: `born` tells the process from a later one with the same pid."""

    pid: int
    born: float
    url: str
    probe: str


def _noted(settings: Settings, name: str) -> _Noted | None:
    """The pid file of a process that we started and that still runs."""
    try:
        noted = _Noted.model_validate_json(_pid_file(settings, name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return noted if _born(noted.pid) == noted.born else None


def _pid(settings: Settings, name: str) -> int | None:
    noted = _noted(settings, name)
    return noted.pid if noted else None


def _born(pid: int) -> float | None:
    """When a process was started, in seconds since the epoch; None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def _children(pid: int) -> tuple[int, ...]:
    """The processes that a process has started, and that still run."""
    try:
        return tuple(child.pid for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return ()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _pid_file(settings: Settings, name: str) -> Path:
    return settings.home / "run" / f"{name}.json"


def _log(settings: Settings, name: str) -> Path:
    return settings.home / "logs" / f"{name}.log"
