"""How the C library hands out memory, for a training step's many short-lived tensors."""

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt(3)
KEPT = 1 << 30  # bytes of free memory that a process may hold on to
LARGEST = 1 << 25  # the largest threshold that mallopt takes


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next step; whether the system's C library has such a setting.

    glibc gives large pieces back to the system at once, and each page of the next ones is a page fault: a thousand in
    a step of a small translation model, a tenth of its time.
    """
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl
        return False
    settings = ((TRIM_THRESHOLD, KEPT), (MMAP_THRESHOLD, LARGEST), (TOP_PAD, LARGEST))
    return all(library.mallopt(name, value) for name, value in settings)
