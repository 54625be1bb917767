"""Runs a command for as long as the process lives that asked for it, so that neither leaves the other behind.

`python -I operations/beside.py PARENT again|once COMMAND …` ends with its command, and its command with PARENT. It imports
nothing of ours, since it waits most of the time.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

LOOK_SECONDS = 0.2
GRACE_SECONDS = 20.0
"""From the request to end to force."""
LONGEST_WAIT = 30.0
STEADY_SECONDS = 60.0
"""A command that ran for so long is started again at once."""


def command(arguments: Sequence[str], *, again: bool = False) -> list[str]:
    """The command line that runs `arguments` beside this process; with `again`, once more whenever they fail."""
    how = [str(os.getpid()), "again" if again else "once"]
    return [sys.executable, "-I", str(Path(__file__).resolve()), *how, *arguments]


def main(parent: str, again: str, *arguments: str) -> int:
    """Run until the command has ended, or its parent; the exit code of the command."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    wait = 1.0
    while True:
        start = time.monotonic()
        code = _run(arguments, int(parent), told)
        if told or again == "once" or code == 0 or os.getppid() != int(parent):
            return code
        wait = 1.0 if time.monotonic() - start > STEADY_SECONDS else min(2 * wait, LONGEST_WAIT)
        until = time.monotonic() + wait
        while not told and os.getppid() == int(parent) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)


def _run(arguments: Sequence[str], parent: int, told: list[int]) -> int:
    with subprocess.Popen(arguments) as child:
        while child.poll() is None and not told and os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
    return 128 - child.returncode if child.returncode < 0 else child.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
