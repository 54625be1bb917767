"""Threads that get into each other's way."""

import sys
import threading
from collections.abc import Callable


def at_once(work: Callable[[], None], threads: int = 4) -> None:
    """Run `work` in several threads that are switched as often as can be, and wait for all."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    sys.setswitchinterval(interval)
