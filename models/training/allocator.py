"""Keeps freed memory in the process while a model trains on a CPU.

Each step frees tensors of many megabytes and asks for them again. glibc returns such blocks to the system at once, and the
kernel clears every page anew, 43,000 of them a step. That is 2 % of a step's time (`benchmarks/results/allocator.json`), and was
half of the processor time on a virtual machine whose page faults are dear.
"""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc to serve large blocks from its heap and never to shrink it; False where the C library is another."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
