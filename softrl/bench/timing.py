"""Clocks: blocks that take turns, so that a busy machine slows both sides of a ratio, and seconds by part."""

import functools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

Call = Callable[[], object]


def settle() -> None:
    """Wait until a GPU that this process uses has done its work."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def timed(call: Call, calls: int) -> float:
    """Mean seconds of a call, the work included that it leaves to a GPU."""
    settle()
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    settle()
    return (time.perf_counter() - begin) / calls


def block(call: Call, seconds: float) -> int:
    """How many calls take about so long, at least one."""
    return max(1, int(seconds / max(timed(call, 3), 1e-9)))


class Ratio(NamedTuple):
    """What pairs of blocks say of two calls."""

    seconds: float  # of the first, median
    median: float  # first over second, over the pairs
    lowest: float
    highest: float


def paired(call: Call, yardstick: Call, pairs: int, seconds: float) -> Ratio:
    """The time of a call over that of a yardstick: a block of the one, then of the other, each about `seconds` long."""
    mine, other = block(call, seconds), block(yardstick, seconds)
    times = [(timed(call, mine), timed(yardstick, other)) for _ in range(pairs)]
    ratios = [first / second for first, second in times]
    return Ratio(statistics.median(first for first, _ in times), statistics.median(ratios), min(ratios), max(ratios))


class Stopwatch:
    """Seconds by part of a program, whose methods are timed in place.

    `wait` is called before each look at the clock. It may be set to `settle`, so that what a part leaves to a GPU is
    counted as its own; parts then run one after the other, which otherwise overlap.
    """

    def __init__(self) -> None:
        self.wait: Call = lambda: None
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def watch(self, part: str, owner: Any, method: str) -> None:
        """Count the time of `owner.method` under `part`; parts must not call each other."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def outer(*args: Any, **flags: Any) -> Any:
            self.wait()
            begin = time.perf_counter()
            try:
                return inner(*args, **flags)
            finally:
                self.wait()
                self.seconds[part] += time.perf_counter() - begin

        setattr(owner, method, outer)

    def clear(self) -> None:
        """Start from nothing."""
        self.seconds.clear()


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines: the first column to the left, the others to the right."""
    left, *right = zip(*rows, strict=True)
    columns = [pad(left, str.ljust), *(pad(column, str.rjust) for column in right)]
    return ["  ".join(line) for line in zip(*columns, strict=True)]


def pad(column: Sequence[str], justify: Callable[[str, int], str]) -> list[str]:
    """Cells of one width."""
    width = max(map(len, column))
    return [justify(cell, width) for cell in column]
