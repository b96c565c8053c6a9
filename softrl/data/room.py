"""How much memory there is, and how many environments in processes of their own have room in it."""

import os
from contextlib import suppress
from pathlib import Path

from softrl.errors import UserError

LEAST, USUAL = 10_000_000, 100_000_000
"""Bytes that a worker has for itself: of the simplest environment, forked from a server; with a simulator."""
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files with the memory that a container may have, if there is a limit."""


def memory() -> int:
    """Bytes of memory of this machine, or of the container in which this process is."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in LIMITS:
        with suppress(OSError, ValueError):  # another version, or `max`
            found.append(int(Path(path).read_text()))
    return min(found)


def check_room(count: int) -> None:
    """Raise UserError where so many workers cannot have room, whatever their environments are."""
    there = memory()
    if count * LEAST > there:
        raise UserError(
            f"envs is {count}: each has a process of {LEAST / 1e6:.0f} MB or more, and there are {there / 1e9:.0f} GB "
            f"of memory: use at most {there // LEAST}, about {there // USUAL} with a simulator, or --env.workers sync"
        )


def caution(count: int) -> str:
    """What is told where so many workers will hardly have room; nothing where they will, and where none is."""
    there = memory()
    if not count * LEAST <= there < count * USUAL:
        return ""
    return (
        f"{count} environments in processes of their own may need {count * USUAL / 1e9:.0f} GB of memory, and there "
        f"are {there / 1e9:.0f}: use about {there // USUAL}, or --env.workers sync, where they have a simulator"
    )
