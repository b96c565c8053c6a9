"""How many updates share a launch."""

import math

from softrl.agent.plasticity import Keep
from softrl.agent.regularize import Free, L2Init
from softrl.data.replay import Replay
from softrl.run.config import Run

MOST_AT_ONCE = 32
"""Updates in one launch at most: their windows are fetched together."""


def updates_per_launch(run: Run, replay: Replay) -> int:
    """Updates that share a launch at most: as many as are owed at once, in whole cycles of the flags that differ.

    One, where a launch costs nothing to speak of, where something happens between two updates, or where the windows of
    several are large.
    """
    between = run.agent.plasticity != Keep() or type(run.agent.regularizer) not in (Free, L2Init)
    if run.compile != "cudagraph" or between or replay.prioritised or replay.frames:
        return 1
    cycle = math.lcm(run.train.actor_every, run.train.target_every)
    owed = min(MOST_AT_ONCE, int(run.envs * run.train.updates_per_decision))
    return max(1, owed // cycle * cycle)


def launch_sizes(most: int, cycle: int) -> list[int]:
    """Sizes of launches: `most`, its half and so on, in whole cycles; a few, because each is recorded by itself."""
    sizes = []
    while most:
        sizes.append(most)
        most = most // 2 // cycle * cycle
    return sizes


def next_launch(run: Run, most: int, done: int, owed: int) -> int:
    """Updates in the next launch, `most` at a time, after `done` of them: the largest group with no more than are owed
    and none that diagnostics look at; one, where there is none or the cycle of actor and target is not at its start.
    """
    every, cycle = run.log.diagnostics, math.lcm(run.train.actor_every, run.train.target_every)
    unseen = owed if every is None else min(owed, every - 1 - done % every)
    fitting = [size for size in launch_sizes(most, cycle) if size <= unseen]
    return 1 if done % cycle else max(fitting, default=1)
