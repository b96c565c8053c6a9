"""What `auto` means on this machine: decided once, stored with the run, and used again when it is resumed."""

from dataclasses import replace

import torch

from softrl.agent.compile import compiler
from softrl.data.envs import repeats
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.threads import fitting

WORTH_COMPILING = 10_000
"""Updates below which compiling (half a minute) costs more than it saves."""


def resolve(run: Run) -> Run:
    """The run with every `auto` replaced by a choice; raises UserError where the machine cannot do what is asked.

    So is the action repeat, which pixels choose by the task.
    """
    device = run.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    check_device(device, "use --device cpu or auto")
    mode = run.compile
    if mode == "auto":
        mode = "graph" if updates(run) >= WORTH_COMPILING and compiler() else "off"
    threads = run.threads or fitting(run.train.batch)
    env = replace(run.env, repeat=repeats(run.env.name, run.env))
    collect = run.collect if run.collect != "auto" else "async" if run.env.pixels else "sync"
    return replace(run, device=device, compile=mode, threads=threads, collect=collect, env=env)


def check_device(device: str, otherwise: str) -> None:
    """Raise UserError where the device is not there, saying what to do instead."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device cuda needs a CUDA device and torch sees none: {otherwise}")


def updates(run: Run) -> float:
    """Updates that the run makes, about."""
    frames = max(0, run.steps - run.train.warmup)
    return frames / repeats(run.env.name, run.env) * run.train.updates_per_decision
