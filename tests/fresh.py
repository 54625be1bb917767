"""Functions of tests in processes that only imported.

A fork of the tests' own process would inherit the locks that threads of other tests hold there, and wait for them for ever.
"""

import importlib
import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

_FRESH = multiprocessing.get_context("forkserver")


def started(function: Callable[..., None], *arguments: Any, daemon: bool = True) -> ForkServerProcess:
    """A process that calls `function`, which a test module declares, with `arguments`.

    A daemon ends with the tests at the latest, so that one that hangs does not hold them up, and starts no processes of its own.
    """
    process = _FRESH.Process(target=_call, args=(function.__module__, function.__name__, arguments), daemon=daemon)
    process.start()
    return process


def _call(module: str, function: str, arguments: tuple[Any, ...]) -> None:
    tests = ModuleType("tests")  # as pytest names it; installed packages have one of this name, too
    tests.__path__ = [str(Path(__file__).parent)]
    sys.modules["tests"] = tests
    getattr(importlib.import_module(module), function)(*arguments)
