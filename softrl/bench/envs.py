"""`softrl bench envs`: what N environments side by side bring, stepped alone and in training."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from softrl.bench import loop
from softrl.bench.settings import Settings, texts, told
from softrl.bench.timing import table
from softrl.data.envs import EnvConfig, step, vector
from softrl.errors import UserError
from softrl.run.config import Run, at_least
from softrl.run.fields import override

Workers = Literal["sync", "async", "envpool"]
FIXED = ("env.workers", "train.updates_per_decision")
"""Settings of a loop that are flags here."""
Cells = dict[Workers, dict[int, Any]]
"""What was measured: kind of workers -> number of environments -> figure."""


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    env: str = "HalfCheetah-v5"
    """Environment to step and to train in."""
    envs: tuple[int, ...] = (1, 4, 16, 64)
    """Numbers of environments side by side."""
    workers: tuple[Workers, ...] | None = None
    """Where environments run; none is sync, async, and envpool where it is installed and has the environment."""
    seconds: float = 2.0
    """How long stepping alone is measured."""
    steps: int = 2_000
    """Environment steps of training that are measured; 0 leaves training out."""
    settle: int = 500
    """Environment steps with updates before that, which are not measured."""
    updates: float = 1.0
    """Updates for each decision of each environment in training."""
    recipe: str = "sac"
    """Recipe to train with."""
    collect: Literal["sync", "async"] = "sync"
    """Whether updates run after the step that owes them, or beside the next one."""
    threads: int | None = None
    """Threads of torch; none chooses as training does."""
    compile: Literal["auto", "off", "graph", "cudagraph"] = "auto"
    """How the update runs; auto compiles where a compiler is."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        if not self.envs or min(self.envs) < 1:
            raise UserError("--envs needs numbers of at least 1, such as 1,4,16")
        if self.workers == ():
            raise UserError("--workers needs a kind at least, such as sync,async")
        if self.seconds <= 0:
            raise UserError(f"--seconds is {self.seconds}: it must be positive")
        at_least(0, {"--steps": self.steps})
        at_least(1, {"--settle": self.settle, "--threads": self.threads})


def settable(options: Options) -> tuple[Run, list[str]]:
    """The recipe's run, and the paths of the settings of it that count here."""
    run, paths = loop.settable(loop.Options(env=options.env, recipe=options.recipe))
    return run, [path for path in paths if path not in FIXED]


def report(options: Options, settings: Settings = MappingProxyType({})) -> Iterator[str]:
    """The lines of the tables, or one JSON object."""
    base = loop.configured(loop.Options(env=options.env, recipe=options.recipe), settings).env
    kinds = options.workers or usable(base)
    stepping: Cells = {
        kind: {
            count: decisions_per_second(replace(base, workers=kind), count, options.seconds) for count in options.envs
        }
        for kind in kinds
    }
    training: Cells = {
        kind: {count: trained(options, settings, count, kind) for count in options.envs}
        for kind in kinds
        if options.steps
    }
    if options.json:
        measured = {"decisions_per_second": stepping, "training": training}
        yield json.dumps({**asdict(options), "settings": texts(settings), **measured})
        return
    yield f"{options.env}: decisions a second, actions drawn at random"
    yield from grid(options, stepping)
    if training:
        yield (
            f"{options.env}, {told(options.recipe, settings)}, collect {options.collect}: env steps a second of "
            f"training, {options.updates:g} updates a decision"
        )
        yield from grid(
            options,
            {kind: {count: cell["steps_per_second"] for count, cell in row.items()} for kind, row in training.items()},
        )


def grid(options: Options, cells: Cells) -> list[str]:
    """A line for each number of environments, a column for each kind of workers."""
    rows = [(str(count), *(f"{cells[kind][count]:.0f}" for kind in cells)) for count in options.envs]
    return table([("environments", *cells), *rows])


def usable(env: EnvConfig) -> tuple[Workers, ...]:
    """The kinds of workers that can run this environment here."""
    try:
        vector(env.name, replace(env, workers="envpool"), 1, seed=0).close()
    except UserError:
        return ("sync", "async")
    return ("sync", "async", "envpool")


def decisions_per_second(config: EnvConfig, count: int, seconds: float) -> float:
    """Decisions a second of `count` environments side by side; resets cost time and count nothing."""
    env = vector(config.name, config, count, seed=0)
    draw = np.random.default_rng(0)
    env.reset()
    over, decisions = np.zeros(count, bool), 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        actions = draw.uniform(-1, 1, env.action_space.shape or ()).astype(np.float32)
        _, _, terminated, truncated, _ = step(env, actions)
        decisions += int((~over).sum())
        over = (terminated | truncated) & ~over
    spent = time.perf_counter() - begin
    env.close()
    return decisions / spent


def trained(options: Options, settings: Settings, count: int, workers: Workers) -> dict[str, float]:
    """Environment steps a second of training in `count` environments, and updates for each."""
    given = loop.Options(
        env=options.env,
        recipe=options.recipe,
        steps=options.steps,
        settle=options.settle,
        envs=count,
        threads=options.threads,
        compile=options.compile,
        device=options.device,
    )
    asked = {"env.workers": workers, "collect": options.collect, "train.updates_per_decision": options.updates}
    result = loop.measure(override(loop.configured(given, settings), {**asked, "eval.episodes": 1}), given)
    return {name: result[name] for name in ("steps_per_second", "updates_per_step")}
