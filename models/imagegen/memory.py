"""Memory that is not enough, said in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from configs.errors import VitrinaError
from models.imagegen.answers import Size

_SAYS_SO = ("DefaultCPUAllocator", "out of memory", "OUT_OF_MEMORY", "ALLOC_FAILED", "not enough memory", "bad_alloc")
"""In what the libraries under torch say when they get no memory: only torch's own CUDA allocator has an exception for it."""


class NotEnoughMemory(VitrinaError):
    """What was asked for does not fit into memory; less of it may."""


@contextmanager
def enough_memory(size: Size, images: int = 1) -> Iterator[None]:
    """Around the drawing of `images` at once.

    What the block held is let go before the error is raised, so that the next request finds the memory free.

    Raises:
        NotEnoughMemory: the CPU or the GPU ran out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        where = "the GPU" if "CUDA" in str(error) or isinstance(error, torch.OutOfMemoryError) else "this machine"
        what = f"{images} images" if images > 1 else "an image"
        less = "fewer candidates or a smaller size" if images > 1 else "a smaller size"
        raise NotEnoughMemory(
            f"{what} of {size[0]} x {size[1]} pixels {'need' if images > 1 else 'needs'} more memory than {where} has free; "
            f"ask for {less}"
        ) from None


def _is_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(part in str(error) for part in _SAYS_SO)
