"""Memory of the GPUs that this process computes on."""

import sys


def gpu_memory() -> list[tuple[int, int]]:
    """Bytes in use, by whomever, and bytes in all, of each GPU; none where nothing was computed on one yet.

    Imports nothing and starts nothing: who does not compute on a GPU does not pay for asking.
    """
    if "torch" not in sys.modules:
        return []
    import torch

    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return []
    found = (torch.cuda.mem_get_info(device) for device in range(torch.cuda.device_count()))
    return [(total - free, total) for free, total in found]
