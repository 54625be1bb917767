"""A worker ends with the process that started it, which cannot tell it to where it is killed with -9: it would hold the port."""

import os
import signal
import threading
import time

PARENT = "VITRINA_SERVING_PARENT"
"""Variable by which a worker knows the process that looks after it."""
LOOK_SECONDS = 0.5


def know_parent() -> None:
    """Where nobody said so before, the workers that this process starts are its own."""
    os.environ.setdefault(PARENT, str(os.getpid()))


def end_with_parent() -> None:
    """From now on, once that process is gone, this one is told to end as by SIGTERM."""
    parent = int(os.environ[PARENT])
    threading.Thread(target=_watch, args=(parent,), name="parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
