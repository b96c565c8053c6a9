"""The heap of a process that frees tens of megabytes in every update, and asks for the same again a moment later."""

import ctypes

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""What glibc's mallopt calls the free bytes above which the heap shrinks, and how many blocks lie outside of it."""
KEPT = 2**31 - 1
"""Bytes that may lie free at the end of the heap, the most that mallopt takes."""


def keep_freed() -> None:
    """Let the heap keep what is freed, and hold blocks of every size; nothing happens where the C library is not glibc.

    Activations of images are blocks of tens of megabytes. Left to itself glibc gives each back to the system when it is
    freed, and the system fills every page of the next one with zeros when it is touched.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, KEPT)
