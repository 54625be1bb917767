"""A process that ends with the one that started it, which is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from serving.parent import PARENT

ROOT = Path(__file__).parents[2]
CHILD = "import time; from serving.parent import end_with_parent; end_with_parent(); print('ready', flush=True); time.sleep(600)"
START = """
import subprocess, sys
from serving.parent import know_parent
know_parent()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_it_ends_where_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", START, CHILD], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    child.wait(60)


def test_it_ends_where_its_parent_was_gone_before(monkeypatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    monkeypatch.setenv(PARENT, str(gone.pid))
    orphan = subprocess.run([sys.executable, "-c", CHILD], cwd=ROOT, stdout=subprocess.DEVNULL, timeout=60)
    assert orphan.returncode == -signal.SIGTERM
