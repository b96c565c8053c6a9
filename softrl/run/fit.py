"""What a run is fitted to: replay to what it can bring, launches to what it owes."""

import math
from dataclasses import replace

from softrl.agent.plasticity import Keep
from softrl.data import envs
from softrl.data.replay import Replay, ReplayConfig
from softrl.data.sources import Source
from softrl.run.config import Run

SMALLEST = 1_000
"""Rows of each environment that replay has room for at least: a window may look far ahead."""
MOST_AT_ONCE = 32
"""Updates in one launch at most: their windows are fetched together."""


def roomy(run: Run, source: Source) -> ReplayConfig:
    """The replay of a run, without room for rows that it can never bring.

    A frame brings a row, or where it ends an episode two. A file has its size for good, so it is left as it is.
    """
    most = 2 * (run.steps + run.envs * envs.repeats(source, run.env))
    if run.replay.memory_map or run.replay.capacity <= most:
        return run.replay
    return replace(run.replay, capacity=max(most, SMALLEST * run.envs))


def group(run: Run, replay: Replay) -> int:
    """Updates that share a launch where so many are owed at once: whole cycles of the flags that tell updates apart.

    One, where a launch costs nothing to speak of, where something happens between two updates, or where the windows of
    several are large.
    """
    if run.compile != "cudagraph" or run.agent.plasticity != Keep() or replay.prioritised or replay.frames:
        return 1
    cycle = math.lcm(run.train.actor_every, run.train.target_every)
    owed = min(MOST_AT_ONCE, int(run.envs * run.train.updates_per_decision))
    return max(1, owed // cycle * cycle)
