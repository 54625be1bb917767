"""A line on standard error that says how far a job is."""

import sys
import time
from typing import Self, TextIO

from vitrina_client.models import Job

WIDTH = 30


class Bar:
    """Shows nothing where `shown` is False; leaves its last line standing when it ends."""

    def __init__(self, shown: bool, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = shown
        self._start = time.monotonic()
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._length:
            self._write("\n")

    def show(self, job: Job) -> None:
        """Draw it anew."""
        if not self._shown:
            return
        line = text(job, time.monotonic() - self._start)
        self._write("\r" + line.ljust(self._length))
        self._length = max(self._length, len(line))

    def _write(self, line: str) -> None:
        self._stream.write(line)
        self._stream.flush()


def wanted(progress: bool | None) -> bool:
    """What was asked; where nothing was, whether a person looks at standard error."""
    return sys.stderr.isatty() if progress is None else progress


def text(job: Job, seconds: float) -> str:
    """The line."""
    ended = job.done + job.failed
    share = ended / job.items if job.items else 1.0
    bar = "#" * int(WIDTH * share) + "." * (WIDTH - int(WIDTH * share))
    failed = f", {job.failed} failed" if job.failed else ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{job.kind} [{bar}] {ended}/{job.items} {share:4.0%} {minutes}:{rest:02d} {job.state}{failed}"
