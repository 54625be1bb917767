"""Neither a process nor what runs beside it leaves the other behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from operations import beside

SLEEP = "import time; time.sleep(600)"


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def noting(file: Path, code: str = SLEEP) -> list[str]:
    """A command that notes its pid."""
    return [sys.executable, "-c", f"import os, pathlib; open({str(file)!r}, 'a').write(f'{{os.getpid()}}\\n'); {code}"]


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_ends_with_the_process_that_asked_for_it(tmp_path, number):
    file = tmp_path / "pids"
    asking = f"import subprocess, operations.beside as b; subprocess.Popen(b.command({noting(file)!r})); {SLEEP}"
    with subprocess.Popen([sys.executable, "-c", asking]) as parent:
        until(lambda: pids(file))
        [pid] = pids(file)
        os.kill(parent.pid, number)
    until(lambda: gone(pid))


def test_its_exit_code_is_that_of_the_command():
    assert subprocess.run(beside.command([sys.executable, "-c", "raise SystemExit(7)"]), timeout=60).returncode == 7
    killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    assert subprocess.run(beside.command(killed), timeout=60).returncode == 137


def test_it_passes_on_that_it_is_to_end(tmp_path):
    file = tmp_path / "pids"
    with subprocess.Popen(beside.command(noting(file), again=True)) as process:
        until(lambda: pids(file))
        process.terminate()
        assert process.wait(60) == 143
    assert gone(pids(file)[0])
    assert len(pids(file)) == 1


@pytest.mark.slow
def test_a_command_that_fails_is_started_again_until_it_succeeds(tmp_path):
    file = tmp_path / "pids"
    code = f"raise SystemExit(0 if len(open({str(file)!r}).readlines()) == 2 else 3)"
    assert subprocess.run(beside.command(noting(file, code), again=True), timeout=60).returncode == 0
    assert len(set(pids(file))) == 2
