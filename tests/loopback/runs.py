"""Carries out the pods of a run as processes, in the order of the graph."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from loopback.pods import Pod, pods_of

ROOT = Path(__file__).parents[2]
ENDED = ("SUCCEEDED", "FAILED", "CANCELED")
NO_LONGER_STARTED = "SKIPPED"


@dataclass(frozen=True)
class Node:
    """The machine that stands for a cluster.

    Attributes:
        folder: What runs leave behind: `runs/<run>/<task>.log`, and the folder in which a pod works.
        secrets: Values by Secret and key.
        claims: Folder of each PersistentVolumeClaim.
        at_once: Pods that run beside each other.
    """

    folder: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    claims: Mapping[str, Path] = field(default_factory=dict)
    at_once: int = 1

    def environment(self, pod: Pod, home: Path) -> dict[str, str]:
        """What the image, the specification and the Secrets give, and nothing of what this process has.

        Raises:
            LookupError: a Secret or a key is not there; Kubernetes would not start the container either.
        """
        image = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
        }
        kept = {}
        for variable, reference in pod.secrets.items():
            if reference.key not in self.secrets.get(reference.secret, {}):
                raise LookupError(f"CreateContainerConfigError: no key {reference.key} in secret {reference.secret}")
            kept[variable] = self.secrets[reference.secret][reference.key]
        return image | dict(pod.environment) | kept

    def mount(self, pod: Pod) -> None:
        """Let the paths of a pod lead to the claims.

        Raises:
            LookupError: no such claim, or a path at which this machine has something else.
        """
        for path, claim in pod.mounts.items():
            if claim not in self.claims:
                raise LookupError(f"persistentvolumeclaim {claim} not found")
            at = Path(path)
            if not at.exists() and at.is_relative_to(self.folder):
                at.symlink_to(self.claims[claim])
            if not at.exists() or at.resolve() != self.claims[claim].resolve():
                raise LookupError(f"claim {claim} cannot be mounted at {path} of this machine: mount it at {self.claims[claim]}")


class Run:
    """A run: what was submitted, and how far it is; `state` and `tasks` hold KFP's words."""

    def __init__(self, node: Node, submitted: Mapping[str, Any]) -> None:
        """Read `submitted`, a V2beta1Run.

        Raises:
            Refused: its specification cannot be carried out.
        """
        self.node, self.submitted = node, submitted
        self.run_id = str(uuid.uuid4())
        self.pods = pods_of(submitted["pipeline_spec"], self.run_id)
        self.folder = node.folder / "runs" / self.run_id
        self.state, self.history = "PENDING", [{"update_time": _now(), "state": "PENDING"}]
        self.tasks = dict.fromkeys(self.pods, "PENDING")
        self.times: dict[str, list[str]] = {name: [] for name in self.pods}
        self.errors: dict[str, str] = {}
        self.created_at = _now()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._canceled = threading.Event()

    def log(self, task: str) -> Path:
        """What a pod wrote to both its outputs."""
        return self.folder / f"{task}.log"

    def carry_out(self) -> None:
        """Start each pod when those before it have succeeded; after the first that fails, none."""
        try:
            self._become("RUNNING")
            self._in_order(TopologicalSorter({name: pod.after for name, pod in self.pods.items()}))
            self._become("CANCELED" if self._canceled.is_set() else "FAILED" if self._failed else "SUCCEEDED")
        finally:
            if self.state not in ENDED:
                self._become("FAILED")

    def _in_order(self, graph: "TopologicalSorter[str]") -> None:
        self.folder.mkdir(parents=True)
        graph.prepare()
        running: dict[Future[bool], str] = {}
        with ThreadPoolExecutor(self.node.at_once) as workers:
            while graph.is_active() and not self._failed:
                running |= {workers.submit(self._carry_out, self.pods[name]): name for name in graph.get_ready()}
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(done)
                    if done.result():
                        graph.done(name)
        self.tasks = {name: NO_LONGER_STARTED if state == "PENDING" else state for name, state in self.tasks.items()}

    def cancel(self) -> None:
        """End what runs, and start nothing more."""
        self._canceled.set()
        with self._lock:
            for process in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)

    @property
    def _failed(self) -> bool:
        return self._canceled.is_set() or "FAILED" in self.tasks.values()

    def _become(self, state: str) -> None:
        self.history.append({"update_time": _now(), "state": state})
        self.state = state

    def _carry_out(self, pod: Pod) -> bool:
        """Whether the pod succeeded; one that others have made needless is not started."""
        if self._failed:
            return False
        self.times[pod.task].append(_now())
        self.tasks[pod.task] = "RUNNING"
        home = self.folder / pod.task
        home.mkdir()
        try:
            self.node.mount(pod)
            code = self._process(pod, self.node.environment(pod, home), home)
            if code:
                self.errors[pod.task] = f"main: Error (exit code {code})"
        except (LookupError, OSError) as error:
            self.errors[pod.task] = str(error)
            self.log(pod.task).write_text(f"{error}\n", encoding="utf-8")
        self.times[pod.task].append(_now())
        self.tasks[pod.task] = "FAILED" if pod.task in self.errors else "SUCCEEDED"
        return pod.task not in self.errors

    def _process(self, pod: Pod, environment: Mapping[str, str], home: Path) -> int:
        with self.log(pod.task).open("wb") as log:
            with self._lock:
                process = subprocess.Popen(
                    pod.command,
                    env=environment,
                    cwd=home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                self._processes.add(process)
            if self._canceled.is_set():
                self.cancel()
            try:
                return process.wait()
            finally:
                with self._lock:
                    self._processes.discard(process)


class Runs:
    """Every run that was submitted, each carried out in a thread."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.all: dict[str, Run] = {}
        self._threads: list[threading.Thread] = []

    def submit(self, submitted: Mapping[str, Any]) -> Run:
        """Record a run and begin with it.

        Raises:
            Refused: its specification cannot be carried out.
        """
        run = Run(self.node, submitted)
        self.all[run.run_id] = run
        thread = threading.Thread(target=run.carry_out, name=run.run_id, daemon=True)
        self._threads.append(thread)
        thread.start()
        return run

    def end(self) -> None:
        """Cancel what is under way, and wait until its processes have ended."""
        for run in self.all.values():
            run.cancel()
        for thread in self._threads:
            thread.join(60)


def _now() -> str:
    return datetime.now(UTC).isoformat()
