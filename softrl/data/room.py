"""How much memory there is, and how many environments in processes of their own have room in it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from softrl.errors import UserError

LEAST, USUAL = 10_000_000, 100_000_000
"""Bytes that a worker has for itself: of the simplest environment, forked from a server; with a simulator."""
GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where Linux keeps the limits of containers and jobs, and which of them this process is in."""


def memory() -> int:
    """Bytes of memory of this machine, or of the container or the scheduler's job in which this process is."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limits():
        with suppress(OSError, ValueError):  # another version, or `max`
            found.append(int(path.read_text()))
    return min(found)


def limits() -> Iterator[Path]:
    """Files with the memory that the groups around this process may have, from the innermost outwards."""
    with suppress(OSError):
        for line in OWN.read_text().splitlines():
            number, kinds, group = line.split(":", 2)
            if number != "0" and "memory" not in kinds.split(","):
                continue
            top, name = (GROUPS, "memory.max") if number == "0" else (GROUPS / "memory", "memory.limit_in_bytes")
            inner = Path(group.lstrip("/"))
            yield from (top / place / name for place in (inner, *inner.parents))
    yield from (GROUPS / "memory.max", GROUPS / "memory" / "memory.limit_in_bytes")


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
