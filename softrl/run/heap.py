"""The heap of a process that frees tens of megabytes in every update, and asks for the same again a moment later."""

import ctypes
from collections.abc import Mapping

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""What glibc's mallopt calls the free bytes above which the heap shrinks, and how many blocks lie outside of it."""
KEPT = 2**31 - 1
"""Bytes that may lie free at the end of the heap, the most that mallopt takes."""
USUAL = {MMAP_MAX: 65_536, TRIM_THRESHOLD: 131_072}
"""What glibc begins with, which it does not tell."""


def keep_freed() -> None:
    """Let the heap keep what is freed, and hold blocks of every size.

    Activations of images are blocks of tens of megabytes. Left to itself glibc gives each back to the system when it is
    freed, and the system fills every page of the next one with zeros when it is touched.
    """
    configure({MMAP_MAX: 0, TRIM_THRESHOLD: KEPT})


def give_back() -> None:
    """Let the heap give back what is freed, as it does at first: the replay of the next run lies outside of it."""
    configure(USUAL)


def configure(settings: Mapping[int, int]) -> None:
    """Set numbers of mallopt; nothing happens where the C library is not glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for number, value in settings.items():
        mallopt(number, value)
