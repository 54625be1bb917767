"""Memory that is not enough, said in one line."""

import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from models.errors import OutOfMemory
from models.imagegen.answers import Size

_SAYS_SO = ("DefaultCPUAllocator", "out of memory", "OUT_OF_MEMORY", "ALLOC_FAILED", "not enough memory", "bad_alloc")
"""In what the libraries under torch say when they get no memory: only torch's own CUDA allocator has an exception for it."""


class NotEnoughMemory(OutOfMemory):
    """What was asked for does not fit into memory; less of it may."""


@contextmanager
def enough_memory(what: str, instead: str) -> Iterator[None]:
    """Around `what` takes much memory; `instead` is what to do where there is not enough.

    What the block held is let go before the error is raised, so that the next one finds the memory free.

    Raises:
        NotEnoughMemory: the CPU or the GPU ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_memory(error):
            raise
        where = "the GPU" if "CUDA" in str(error) or isinstance(error, torch.OutOfMemoryError) else "this machine"
        traceback.clear_frames(error.__traceback__)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise NotEnoughMemory(f"{what}: {where} has not enough memory free; {instead}") from None


def enough_to_draw(size: Size, images: int = 1) -> AbstractContextManager[None]:
    """Around the drawing of `images` of a size at once; see `enough_memory`."""
    what = f"{images} images" if images > 1 else "an image"
    fewer = "fewer candidates or a smaller size" if images > 1 else "a smaller size"
    return enough_memory(f"drawing {what} of {size[0]} x {size[1]} pixels", f"ask for {fewer}")


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in str(error) for part in _SAYS_SO)
