"""How much memory this process has taken."""

import sys
from pathlib import Path


def peak() -> float:
    """MiB of memory that this process has held at most.

    Linux hands `ru_maxrss` on to a new process from the one that began it, but not what /proc tells.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    from resource import RUSAGE_SELF, getrusage  # where there is no /proc there may be no such module either

    return getrusage(RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
