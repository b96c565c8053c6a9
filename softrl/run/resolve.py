"""What follows from a run: every `auto` on this machine, cautions, and replay's capacity."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import torch

from softrl.agent.compile import compiler
from softrl.agent.plasticity import Reset
from softrl.agent.regress import Plain
from softrl.data import room
from softrl.data.envs import apart, repeats
from softrl.data.priority import Uniform
from softrl.data.replay import ReplayConfig
from softrl.data.sources import Source, shortest_episode
from softrl.errors import UserError
from softrl.nn.norms import BATCH_STATISTICS
from softrl.nn.processor import multiplies_bfloat16, quicken_products
from softrl.run.config import Run
from softrl.run.threads import fastest_thread_count, granted

WORTH_COMPILING = 10_000
"""Updates below which compiling (half a minute) costs more than it saves."""
UPDATES_A_MINUTE = 6_000
"""What a run with a limit of time is expected to make at most, whatever its steps: `sac` on two threads."""
RECOVERY = 5_000
"""Decisions after a reset in which a policy is hardly what it was before."""
WELL_ESTIMATED = 128
"""Rows from which a batch's mean and variance are known well enough to learn by."""
SMALLEST = 1_000
"""Rows of each environment that replay has room for at least, beside those of an n-step return."""


def resolve(run: Run) -> Run:
    """The run with every `auto` replaced by a choice, and the action repeat, which pixels choose by the task.

    It is stored with the run and used again when that is resumed. From here on torch's products go to the library that
    is faster on this machine. Raises UserError where the machine cannot do what is asked.
    """
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device, "use --device cpu or auto")
    mode = run.compile
    if mode == "auto":
        mode = "graph" if worth_compiling(run, device, updates_in_time(run)) else "off"
    if device == "cpu":
        quicken_products()  # before threads are chosen by the time of a product
    threads = run.threads or fastest_thread_count(run.train.batch)
    env = replace(run.env, repeat=repeats(run.env.name, run.env))
    collect = run.collect if run.collect != "auto" else "async" if run.env.pixels else "sync"
    return replace(run, device=device, compile=mode, threads=threads, collect=collect, env=env)


def cautions(run: Run) -> list[str]:
    """Sentences to tell before a resolved run begins, about what can be done and will hardly be meant."""
    told = []
    first, made = run.agent.plasticity.first, updates(run)
    if run.steps <= run.train.warmup:
        told.append(f"nothing will be learned: {run.steps} steps end before train.warmup, {run.train.warmup}, does")
    elif run.steps < (needed := run.agent.encoder.sequence * run.envs * repeats(run.env.name, run.env)):
        told.append(
            f"nothing will be learned: {run.steps} steps end before each environment has brought a stretch of "
            f"agent.encoder.sequence, {run.agent.encoder.sequence} rows, which takes {needed}"
        )
    elif first is not None and made <= first:
        told.append(
            f"agent.plasticity will do nothing: it acts for the first time after {first} updates, and the run makes "
            f"{made:.0f}"
        )
    if run.replay.capacity < run.train.batch:
        told.append(
            f"replay.capacity is {run.replay.capacity}: each batch of train.batch, {run.train.batch}, draws its rows "
            "several times"
        )
    left = made - last_reset(run, made)
    if left < RECOVERY * run.train.updates_per_decision <= made:
        told.append(
            f"the last reset of agent.plasticity comes {left:.0f} updates before the end: the policy may not recover "
            "by then, so end the run earlier or later"
        )
    normed = BATCH_STATISTICS in run.agent.critic.trunk.needs
    if normed and run.train.batch < WELL_ESTIMATED:
        told.append(
            f"train.batch is {run.train.batch}: batch norms take mean and variance from a batch, and below "
            f"{WELL_ESTIMATED} rows these are noise"
        )
    if normed and (run.replay.sampler != Uniform() or run.replay.dataset):
        told.append(
            "batch norms learn the mean and variance of what is sampled, and with replay.sampler or replay.dataset "
            "that is something else than what the policy meets: recipes with layer norms, such as simba, do not mind"
        )
    if run.agent.regression != Plain() and normed:
        told.append(
            "agent.regression holds values near those of the target copy, and a batch norm makes them differ where the "
            "weights do not: until its running statistics settle, most are clipped"
        )
    if run.precision == "bfloat16" and run.device == "cpu" and multiplies_bfloat16() is False:
        told.append("this processor has no instructions for bfloat16: --precision float32 is faster here")
    if run.collect == "async" and run.env.workers != "envpool" and not apart(run.env, run.envs):
        told.append(
            "--collect async overlaps nothing here: the environment runs in this process, set --env.workers async or "
            "--collect sync"
        )
    if apart(run.env, run.envs) and (crowded := room.caution(run.envs)):
        told.append(crowded)
    return told


def worth_compiling(run: Run, device: str, made: float) -> bool:
    """Whether compiling pays where so many updates are made, and can be done."""
    unrolled = run.agent.encoder.sequence and device == "cpu"
    return made >= WORTH_COMPILING and not unrolled and compiler() is not None


def going_on(run: Run, made: int, named: Collection[str] = ()) -> list[str]:
    """Sentences to tell before a run goes on after so many updates, as it was begun, where another machine or a longer
    run would choose otherwise; none of the fields that are `named`, set from here on.
    """
    told, left = [], updates(run) - made
    plain = run.compile == "off" and "compile" not in named
    if plain and run.minutes is None and worth_compiling(run, run.device, left):
        told.append(
            f"{left:.0f} updates are left and go on uncompiled, as they began: --compile auto makes them faster"
        )
    if "threads" not in named and run.threads and run.threads > granted():
        told.append(
            f"the run goes on with {run.threads} threads, as it began, and is granted {granted()} here: "
            f"--threads {granted()} makes it faster"
        )
    return told


def last_reset(run: Run, made: float) -> float:
    """The update after which the last reset comes in a run that makes so many; 0 where it has none."""
    plasticity = run.agent.plasticity
    return plasticity.last(made) if isinstance(plasticity, Reset) else 0


def check_device(device: str, otherwise: str) -> None:
    """Raise UserError where the device is not there, saying what to do instead."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device cuda needs a CUDA device and torch sees none: {otherwise}")


def updates(run: Run) -> float:
    """Updates that the run makes, about."""
    frames = max(0, run.steps - run.train.warmup)
    return frames / repeats(run.env.name, run.env) * run.train.updates_per_decision


def updates_in_time(run: Run) -> float:
    """The same, or as many as its minutes have room for where those are fewer."""
    return updates(run) if run.minutes is None else min(updates(run), UPDATES_A_MINUTE * run.minutes)


class Begun(NamedTuple):
    """What a run that goes on has behind it."""

    rows: int = 0  # in replay, of all environments
    env_steps: int = 0


def replay_config(run: Run, source: Source, begun: Begun = Begun()) -> ReplayConfig:
    """The replay of a run, without room for rows that it can never bring.

    An episode of n frames brings ceil(n / repeat) rows and one more at its end: most of them where all are as short as
    they can be. A file has its size for good, so it is left as it is.
    """
    repeat, shortest = repeats(source, run.env), shortest_episode(source, run.env.time_limit)

    def rows(steps: int) -> int:
        frames = steps + run.envs * max(repeat, shortest)  # what is under way at the end is counted whole
        return math.ceil(frames / shortest) * (math.ceil(shortest / repeat) + 1)

    # A run may have begun in another environment, whose episodes were shorter.
    most = max(rows(run.steps), begun.rows + rows(max(0, run.steps - begun.env_steps)))
    least = run.envs * (SMALLEST + run.replay.steps)
    return (
        run.replay
        if run.replay.memory_map
        else replace(run.replay, capacity=min(run.replay.capacity, max(most, least)))
    )
