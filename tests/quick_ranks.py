"""Ranks that start at once: forked from a process that imported what they need, and did nothing else.

A fork of the tests' own process would inherit the libraries that other tests left open there, without the threads they count on.
"""

import functools
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

import pytest
import torch.multiprocessing

from models.training import distributed
from models.training.distributed import run_ranks

quick_ranks = functools.partial(run_ranks, method="forkserver")


@contextmanager
def started_quickly() -> Iterator[None]:
    """Meanwhile, trainings on several ranks start them so."""
    before = torch.multiprocessing.get_sharing_strategy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # the server is not told `sys.path` in another way
        multiprocessing.set_forkserver_preload(["rank_cases", "rank_steps", "meta_cases", "learn2learn.algorithms"])
        forkserver.ensure_running()
        patch.setattr(distributed, "run_ranks", quick_ranks)
        torch.multiprocessing.set_sharing_strategy("file_system")  # the server passes 256 open files on at most
        try:
            yield
        finally:
            torch.multiprocessing.set_sharing_strategy(before)
