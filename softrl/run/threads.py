"""How many threads pay on this machine now, by measurement: on a busy core a second one makes a run slower."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from functools import cache

import torch

MOST = 4
"""Threads beyond which products of a few hundred columns become slower."""
WORTH = 0.9
"""Share of the time of fewer threads that more have to stay below, so that noise does not decide."""
ROUNDS, SECONDS = 5, 0.01


def processors() -> int:
    """Processors that this process may use; all of the machine's where the system cannot tell."""
    allowed = getattr(os, "sched_getaffinity", lambda process: range(os.cpu_count() or 1))
    return len(allowed(0))


def granted() -> int:
    """Threads that a run may have: one a processor, or as few as OMP_NUM_THREADS says, as schedulers of jobs do."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list has a number for each level of nesting
    return min(processors(), int(asked)) if asked.isdecimal() and int(asked) else processors()


@cache
def fastest_thread_count(batch: int) -> int:
    """Threads for updates of `batch` rows, chosen once in a process from 1, 2 and 4, as far as they are granted."""
    counts = [n for n in (1, 2, MOST) if n <= granted()]
    if len(counts) == 1:
        return 1
    before = torch.get_num_threads()
    rounds: dict[int, list[float]] = {n: [] for n in counts}
    layer = hidden(batch)
    try:
        for _ in range(ROUNDS):
            for n in counts:
                torch.set_num_threads(n)
                layer()  # the first call after a change wakes the threads
                rounds[n].append(timed(layer))
    finally:
        torch.set_num_threads(before)
    return fewest({n: statistics.median(times) for n, times in rounds.items()})


def hidden(batch: int, width: int = 256) -> Callable[[], None]:
    """A hidden layer of two networks, forwards and backwards: the bulk of an update."""
    draws = torch.Generator().manual_seed(0)  # the caller's numbers are left alone
    x, weight = (torch.randn(2, rows, width, generator=draws) for rows in (batch, width))  # [E,B,W], [E,W,W]

    def layer() -> None:
        y = (x @ weight).relu_()
        y @ weight.mT, x.mT @ y

    return layer


def timed(call: Callable[[], None]) -> float:
    """Seconds a call, over about SECONDS."""
    began, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < SECONDS or not calls:
        call()
        calls += 1
    return spent / calls


def fewest(seconds: Mapping[int, float]) -> int:
    """The number of threads after which no larger one is worth it, from the seconds that each needs."""
    chosen, *more = sorted(seconds)
    for n in more:
        if seconds[n] < WORTH * seconds[chosen]:
            chosen = n
    return chosen
