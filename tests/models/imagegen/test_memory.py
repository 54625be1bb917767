import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.imagegen.memory import NotEnoughMemory, enough_memory, enough_to_draw

ROOT = Path(__file__).parents[3]


def raised(error: BaseException) -> Callable[[], None]:
    def fails() -> None:
        raise error

    return fails


@pytest.mark.parametrize(
    ("fails", "where"),
    [
        (raised(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nGPU 0 has")), "the GPU"),
        (raised(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")), "the GPU"),
        (lambda: torch.empty(1 << 50), "this machine"),
        (lambda: np.empty(1 << 57), "this machine"),
    ],
)
def test_what_runs_out_of_memory_says_what_to_ask_less_of(fails: Callable[[], object], where: str) -> None:
    with pytest.raises(NotEnoughMemory) as caught, enough_to_draw((1024, 768), images=4):
        fails()
    told = (
        f"drawing 4 images of 1024 x 768 pixels: {where} has not enough memory free; ask for fewer candidates or a smaller size"
    )
    assert str(caught.value) == told
    alone = rf"^drawing an image of 64 x 64 pixels: {where} .*; ask for a smaller size$"
    with pytest.raises(NotEnoughMemory, match=alone), enough_to_draw((64, 64)):
        fails()


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as caught, enough_memory("this", "that"):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not isinstance(caught.value, NotEnoughMemory)


def test_what_was_held_is_free_again() -> None:
    """A frame that failed keeps its tensors alive as long as somebody holds its traceback."""
    seen: list[Callable[[], object]] = []

    def draws() -> None:
        import weakref

        held = torch.zeros(10)
        seen.append(weakref.ref(held))
        torch.empty(1 << 50)

    with pytest.raises(NotEnoughMemory) as caught, enough_to_draw((64, 64)):
        draws()
    assert caught.value is not None
    assert seen[0]() is None


@pytest.mark.slow
def test_a_process_that_may_not_grow_says_so() -> None:
    """Real allocations, of torch and of a network's layers, under a limit."""
    code = """
import resource, torch
from models.imagegen.memory import NotEnoughMemory, enough_to_draw
torch.set_num_threads(1)
layer = torch.nn.Conv2d(8, 64, 3)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), used + (64 << 20)))
try:
    with enough_to_draw((2048, 2048)):
        layer(torch.zeros(1, 8, 2048, 2048))
except NotEnoughMemory as error:
    print(error)
with enough_to_draw((64, 64)):
    print(tuple(layer(torch.zeros(1, 8, 64, 64)).shape))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "drawing an image of 2048 x 2048 pixels: this machine has not enough memory free; ask for a smaller size",
        "(1, 64, 62, 62)",
    ], done.stderr
