"""`softrl bench envs`: decisions a second of vector environments, in this process and in processes of their own."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from softrl.bench.timing import table
from softrl.data.envs import EnvConfig, step, vector
from softrl.errors import UserError
from softrl.run.config import at_least

WORKERS: tuple[Literal["sync", "async"], ...] = ("sync", "async")


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    env: str = "HalfCheetah-v5"
    """Environment to step."""
    envs: tuple[int, ...] = (1, 4, 16)
    """Numbers of environments side by side."""
    seconds: float = 2.0
    """How long each is measured."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        if not self.envs or min(self.envs) < 1:
            raise UserError("--envs needs numbers of at least 1, such as 1,4,16")
        at_least(0, {"--seconds": int(self.seconds)})


def report(options: Options) -> Iterator[str]:
    """The lines of the table, or one JSON object."""
    speeds = {
        workers: {count: decisions_per_second(options, count, workers) for count in options.envs} for workers in WORKERS
    }
    if options.json:
        yield json.dumps({**asdict(options), "decisions_per_second": speeds})
        return
    yield f"{options.env}: decisions a second, actions drawn at random"
    rows = [(str(count), *(f"{speeds[workers][count]:.0f}" for workers in WORKERS)) for count in options.envs]
    yield from table([("environments", *WORKERS), *rows])


def decisions_per_second(options: Options, count: int, workers: Literal["sync", "async"]) -> float:
    """Decisions a second of `count` environments side by side; resets cost time and count nothing."""
    env = vector(options.env, EnvConfig(workers=workers), count, seed=0)
    draw = np.random.default_rng(0)
    env.reset()
    over, decisions = np.zeros(count, bool), 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < options.seconds:
        actions = draw.uniform(-1, 1, env.action_space.shape or ()).astype(np.float32)
        _, _, terminated, truncated, _ = step(env, actions)
        decisions += int((~over).sum())
        over = (terminated | truncated) & ~over
    seconds = time.perf_counter() - begin
    env.close()
    return decisions / seconds
