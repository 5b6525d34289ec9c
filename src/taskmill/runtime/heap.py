"""Gives memory that was freed back to the system: by itself the C library keeps what lies between used blocks."""

import ctypes
import sys


def trim_heap() -> None:
    """Give it back, where the C library can (glibc).

    After a burst of tasks that is a quarter of a worker's memory; Python returns its own blocks for small objects.
    It takes a microsecond for each free block, which may be 20 ms: for moments in which nothing happens.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
