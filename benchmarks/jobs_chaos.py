"""Is a job lost or done twice when what takes it, what does it and what keeps it are killed with -9 at random moments?

Two submitters leave jobs by name, as the API does, and leave the same name again where they do not know whether it was taken.
Two workers do them. In each round one of these, or the database, is killed and started again; the computation is a short wait,
so that most kills fall into the middle of something. Then all may end, and what stands in the database is counted:

- lost: a job whose id a submitter has seen, and that did not succeed with all its items;
- done twice: an item whose answer was kept more than once, a name that is two jobs, a job that is two workflows;
- two at once: computations of one job by two workers at the same time.

An item that is computed again because its worker was killed before its answer was kept is told, and allowed.

    python -m benchmarks.jobs_chaos [--rounds 40] [--databases sqlite postgresql] [--seed 0]
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy

from benchmarks.machine import write
from configs.errors import VitrinaError
from configs.schema import JobsConfig, ServingConfig
from database import jobs
from database.engine import engine, reading

ITEMS, BATCH = 40, 10
COMPUTE_SECONDS = 0.04
BETWEEN = (0.3, 2.5)
"""Seconds between two kills, and of a killed process until it is started again."""
DOWN = (0.0, 1.0)
LIMIT_SECONDS = 180.0
CONFIG = ServingConfig(jobs=JobsConfig(poll_seconds=0.05, retry_seconds=0.1))
SUBMITTERS, WORKERS = 2, 2


def main() -> None:
    """Run the rounds on each database and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = {name: measure(name, arguments.rounds, arguments.seed) for name in arguments.databases}
    command = f"python -m benchmarks.jobs_chaos --rounds {arguments.rounds}"
    write("jobs_chaos", {"command": command, "items_a_job": ITEMS, "batch": BATCH, "databases": found})
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if any(part[count] for part in found.values() for count in ("lost", "done_twice", "two_at_once")):
        sys.exit(1)


def measure(name: str, rounds: int, seed: int) -> dict[str, Any]:
    """One database's rounds, and what was counted after them."""
    folder = Path(tempfile.mkdtemp(prefix="vitrina-chaos-"))
    try:
        with postgres(folder) if name == "postgresql" else sqlite(folder) as (url, database):
            return _measure(url, database, folder, rounds, random.Random(seed))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(url: str, database: "Postgres | None", folder: Path, rounds: int, chance: random.Random) -> dict[str, Any]:
    start = time.monotonic()
    submitters = [Actor("submit", url, folder, number) for number in range(SUBMITTERS)]
    workers = [Actor("work", url, folder, number) for number in range(WORKERS)]
    victims: list[tuple[str, Actor | Postgres]] = [("API", each) for each in submitters] + [("worker", each) for each in workers]
    if database is not None:
        victims += [("database", database)] * 2
    kills: Counter[str] = Counter()
    try:
        for actor in (*submitters, *workers):
            actor.start()
        _wait_for(lambda: (folder / "seen-0").exists(), "no job was taken")
        for _ in range(rounds):
            time.sleep(chance.uniform(*BETWEEN))
            kind, victim = chance.choice(victims)
            victim.kill()
            kills[kind] += 1
            time.sleep(chance.uniform(*DOWN))
            victim.start()
        for submitter in submitters:
            submitter.end()
        _wait_for(lambda: _over(url), "jobs did not end")
    finally:
        for actor in (*submitters, *workers):
            actor.end()
    return {"rounds": rounds, "kills": dict(kills), **_count(url, folder), "seconds": round(time.monotonic() - start)}


def _over(url: str) -> bool:
    try:
        states = jobs.states(url)
    except VitrinaError:
        engine(url).dispose()
        return False
    return not states["queued"] and not states["running"]


def _count(url: str, folder: Path) -> dict[str, Any]:
    seen = [line for file in folder.glob("seen-*") for line in file.read_text().split()]
    ended = jobs.newest(url, limit=10**6)
    whole = {job.id for job in ended if (job.state, job.done) == ("succeeded", ITEMS)}
    others = [f"{job.state}, {job.done} of {job.items} done: {job.detail}" for job in ended if job.id not in whole]
    schema = "dbos." if url.startswith("postgresql") else ""
    with reading(url) as connection:

        def number(query: str) -> int:
            return int(connection.scalar(sqlalchemy.text(query)) or 0)

        kept = number("SELECT count(*) FROM predictions")
        items = number("SELECT count(*) FROM job_items WHERE state = 'done'")
        again = "SELECT count(*) FROM (SELECT request FROM jobs GROUP BY owner, request HAVING count(*) > 1) AS twice"
        workflows = number(f"SELECT count(*) FROM {schema}workflow_status WHERE name = '{jobs.WORKFLOW}'")
        existing = number("SELECT count(*) FROM jobs")
        twice = abs(kept - items) + number(again) + abs(workflows - existing)
    computed = Counter((line["job"], place) for line in _notes(folder) if line["what"] == "begin" for place in line["places"])
    return {
        "jobs": len(seen),
        "lost": len(set(seen) - whole),
        "ended_otherwise": others,
        "done_twice": twice,
        "two_at_once": _at_once(folder),
        "items": items,
        "items_computed_again": sum(count - 1 for count in computed.values()),
        "most_computations_of_an_item": max(computed.values(), default=0),
    }


def _at_once(folder: Path) -> int:
    """Computations of a job that began before another process had ended one of the same job."""
    ended = {(line["pid"], line["number"]): line["at"] for line in _notes(folder) if line["what"] == "end"}
    killed = {int(pid): float(at) for pid, at in (line.split() for line in (folder / "killed").read_text().splitlines())}
    spans = defaultdict(list)
    for line in _notes(folder):
        if line["what"] == "begin":
            end = ended.get((line["pid"], line["number"]), killed.get(line["pid"], line["at"]))
            spans[line["job"]].append((line["at"], end, line["pid"]))
    pairs = [pair for job in spans.values() for pair in pairwise(sorted(job))]
    return sum(first[2] != second[2] and second[0] < first[1] for first, second in pairs)


def _notes(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in folder.glob("computed-*") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def _wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{otherwise} within {LIMIT_SECONDS:g} s")
        time.sleep(0.1)


class Actor:
    """A process that is killed and started again; one that ends by itself, since the database is away, is started again too."""

    def __init__(self, what: str, url: str, folder: Path, number: int) -> None:
        self._command = [sys.executable, "-m", "benchmarks.jobs_chaos_actors", what, url, str(folder), str(number)]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def start(self) -> None:
        """Start it."""
        self._spawn()
        self._wanted.set()

    def kill(self) -> None:
        """End it with -9."""
        self._wanted.clear()
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        with (self._folder / "killed").open("a") as file:
            file.write(f"{self._process.pid} {time.monotonic()}\n")

    def end(self) -> None:
        """Tell it to end, and wait."""
        self._wanted.clear()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def _spawn(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def _look(self) -> None:
        while True:
            time.sleep(0.3)
            if self._wanted.is_set() and self._process is not None and self._process.poll() is not None:
                self._spawn()


@contextmanager
def sqlite(folder: Path) -> Iterator[tuple[str, None]]:
    """A database that no process serves: it is killed with whoever writes to it."""
    (folder / "killed").touch()
    yield f"sqlite:///{folder / 'vitrina.db'}", None


class Postgres:
    """A server whose processes are killed: in turn one that serves a client, which makes all start anew, and all of them."""

    def __init__(self, folder: Path, port: int) -> None:
        self._bin = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        self._user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        self._folder, self._data, self._port = folder, folder / "data", port
        self._process: subprocess.Popen[bytes] | None = None
        self._kills = 0

    def make(self) -> None:
        """An empty cluster."""
        if self._user:
            shutil.chown(self._folder, "postgres", "postgres")
        made = [str(self._bin / "initdb"), "-D", str(self._data), "-A", "trust", "-U", "vitrina", "-E", "UTF8", "--no-sync"]
        subprocess.run([*self._user, *made], check=True, cwd=self._folder, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        """Start it where it does not run, and wait until it answers."""
        until = time.monotonic() + LIMIT_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:  # what was killed may hold its memory for a moment
                options = ["-p", str(self._port), "-k", str(self._folder), "-c", "listen_addresses=127.0.0.1"]
                with (self._folder / "pg.log").open("ab") as log:
                    command = [*self._user, str(self._bin / "postgres"), "-D", str(self._data), *options]
                    self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log)
            if time.monotonic() > until:
                raise SystemExit(f"PostgreSQL does not start within {LIMIT_SECONDS:g} s; see {self._folder / 'pg.log'}")
            time.sleep(0.2)

    def kill(self) -> None:
        """End one of its processes with -9, or all."""
        self._kills += 1
        assert self._process is not None
        children = psutil.Process(self._process.pid).children()
        if self._kills % 2:
            with suppress(psutil.NoSuchProcess, StopIteration):
                next(child for child in children if "127.0.0.1" in " ".join(child.cmdline())).kill()
            return
        self._process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess, StopIteration):
                child.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def _answers(self) -> bool:
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return subprocess.run(ready, check=False).returncode == 0


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[str, Postgres]]:
    """A server of its own."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Postgres(folder, port)
    server.make()
    (folder / "killed").touch()
    server.start()
    try:
        yield f"postgresql://vitrina@127.0.0.1:{port}/postgres", server
    finally:
        server.stop()


if __name__ == "__main__":
    main()
