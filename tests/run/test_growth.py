"""The memory of a run does not grow with its episodes."""

import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl.recipes import apply
from softrl.run.caller import left_as_it_was
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.resolve import resolve
from softrl.run.trainer import Trainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc"),
]

LENGTH = 5  # decisions of an episode
SETTLED, MORE = 1_000, 2_000  # episodes before memory is looked at, and until it is again
ALLOWED = 1.5  # MiB of growth, 800 bytes an episode; 0.7 were measured, none of them in the three thousand after these
SETTINGS = {
    "replay.capacity": 1_000,
    "train.warmup": 100,
    "train.updates_per_decision": 0.1,
    "log.every": 500,
    "eval.every": 2_500,
    "eval.episodes": 2,
    "checkpoint.every": 2_500,
    "video.every": "never",
    "steps": 10**8,
    "threads": 1,
    "compile": "off",
}


class Short(gymnasium.Env[Any, Any]):
    """Episodes of five steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (8,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self) -> None:
        self.time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return np.zeros(8, np.float32), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return np.full(8, self.time, np.float32), float(action[0]), False, self.time == LENGTH, {}


class Hoarding(Short):
    """Keeps two kilobytes of every episode."""

    kept: list[np.ndarray] = []  # noqa: RUF012  # of the class, so that no checkpoint copies it

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.kept.append(np.ones(256))
        return super().reset(seed=seed)


class Heap(ctypes.Structure):
    """What glibc's mallinfo2 tells of its heap, in numbers of blocks and bytes."""

    _fields_ = (("counts", ctypes.c_size_t * 8), ("free", ctypes.c_size_t), ("at_the_end", ctypes.c_size_t))


def free() -> int:
    """Bytes of the heap that lie free and stay with the process, 0 where the C library is another."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    ask.restype = Heap
    return int(ask().free)


def held() -> float:
    """MiB of memory that this process uses now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (pages * os.sysconf("SC_PAGE_SIZE") - free()) / 2**20


@left_as_it_was()
def growth(env: type[Short], folder: Path) -> float:
    """MiB that a run has taken on over thousands of short episodes, evaluations and checkpoints among them."""
    run = resolve(override(apply("sac+tiny", Run()), SETTINGS))
    trainer = Trainer(run, env, folder)
    found = []
    for episodes in (SETTLED, SETTLED + MORE):
        while trainer.count.episodes < episodes:
            trainer.advance()
            trainer.run_due_events()
        found.append(held())
    trainer.close()
    return found[1] - found[0]


def test_a_run_holds_no_more_after_thousands_of_episodes(tmp_path: Path) -> None:
    assert growth(Short, tmp_path) < ALLOWED


def test_two_kilobytes_an_episode_would_be_seen(tmp_path: Path) -> None:
    assert growth(Hoarding, tmp_path) > ALLOWED
