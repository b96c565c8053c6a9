"""The configuration of a run: one frozen dataclass, written beside the run, from which everything is built."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from softrl.agent.config import AgentConfig
from softrl.data.envs import EnvConfig
from softrl.data.replay import ReplayConfig
from softrl.errors import UserError


def at_least(minimum: int, values: Mapping[str, int | str | None]) -> None:
    """Refuse numbers below `minimum`, dotted path -> value, where words and None pass; raises UserError."""
    for path, value in values.items():
        if not isinstance(value, int | str | None):
            raise UserError(f"{path} is {value!r}: it must be a whole number")
        if isinstance(value, int) and value < minimum:
            raise UserError(f"{path} is {value}: it must be at least {minimum}")


def at_most(largest: int, values: Mapping[str, int | None]) -> None:
    """Refuse numbers above `largest`, dotted path -> value, which no machine could serve; raises UserError."""
    for path, value in values.items():
        if value is not None and value > largest:
            raise UserError(f"{path} is {value}: it must be at most {largest}")


MOST_THREADS, MOST_EPISODES = 1024, 100_000
"""Of torch; of environments side by side, as an evaluation plays its episodes."""
LARGEST_BATCH = 2**20
"""Windows beyond which no machine holds what the networks make of them."""


@dataclass(frozen=True)
class TrainConfig:
    """How often the agent learns, and from how much."""

    batch: int = 256
    """Batch size, in windows of replay."""
    warmup: int = 5_000
    """Frames before learning starts, of uniformly random actions; with --init, of the loaded policy's exploration."""
    gamma: float = 0.99
    """Discount of one decision."""
    updates_per_decision: float = 1.0
    """Update-to-data (UTD, replay) ratio: updates per decision of each environment; fractions accumulate."""
    actor_every: int = 1
    """Critic updates per actor update (policy delay)."""
    target_every: int = 1
    """Critic updates per update of the target network."""

    def __post_init__(self) -> None:
        at_least(
            1,
            {"train.batch": self.batch, "train.actor_every": self.actor_every, "train.target_every": self.target_every},
        )
        at_least(0, {"train.warmup": self.warmup})
        at_most(LARGEST_BATCH, {"train.batch": self.batch})
        if not 0 <= self.gamma <= 1:
            raise UserError(f"train.gamma is {self.gamma}: a discount lies in [0, 1]")
        if self.updates_per_decision <= 0:
            raise UserError(f"train.updates_per_decision is {self.updates_per_decision}: it must be positive")


@dataclass(frozen=True)
class EvalConfig:
    """The evaluation protocol: separate environment, separate seeds, deterministic policy."""

    every: int | None = None
    """Frames between evaluations, beside the first and the last; none is 5000 up to frame 100000, 10000 after it."""
    episodes: int = 10
    """Episodes of one evaluation."""

    def __post_init__(self) -> None:
        at_least(1, {"eval.every": self.every, "eval.episodes": self.episodes})
        at_most(MOST_EPISODES, {"eval.episodes": self.episodes})


@dataclass(frozen=True)
class VideoConfig:
    """Videos of evaluation episodes."""

    every: int | Literal["auto", "never"] = "auto"
    """Frames between videos; auto is one of the final policy where rendering works."""
    size: int = 256
    """Height and width in pixels, in DeepMind Control, MuJoCo and Gears by name; others are filmed in their own size,
    and those of MuJoCo in that of the agent's pictures where it learns from them."""

    def __post_init__(self) -> None:
        at_least(1, {"video.every": self.every})
        at_least(16, {"video.size": self.size})


@dataclass(frozen=True)
class CheckpointConfig:
    """What is kept to resume from."""

    every: int | None = None
    """Frames between checkpoints; none is one at each evaluation."""
    keep: int = 2
    """Newest checkpoints kept, besides the best one."""

    def __post_init__(self) -> None:
        at_least(1, {"checkpoint.every": self.every, "checkpoint.keep": self.keep})


@dataclass(frozen=True)
class LogConfig:
    """Scalars of training, to metrics.jsonl and TensorBoard."""

    every: int = 1_000
    """Frames over which a logged value is averaged."""
    diagnostics: int | None = 1_000
    """Updates between looks at dormant units, effective ranks, weight norms and churn; none leaves them out."""

    def __post_init__(self) -> None:
        at_least(1, {"log.every": self.every, "log.diagnostics": self.diagnostics})


@dataclass(frozen=True)
class Run:
    """Everything that decides what a run does: the same run on the same machine gives the same numbers."""

    recipe: str = "sac"
    """Recipe whose values these are, several joined by +."""
    steps: int = 100_000
    """Environment steps: frames, action repeat included."""
    minutes: float | None = None
    """Minutes on the clock after which the run ends, whatever its steps; none sets no limit."""
    seed: int = 0
    """Decides weights, actions, batches and environments."""
    envs: int = 1
    """Environments that are stepped together, as one vectorised environment."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are; auto is cuda where there is a GPU."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers in matrix products; weights stay float32."""
    compile: Literal["auto", "off", "graph", "cudagraph"] = "auto"
    """Compiles the update; auto does so where the run is long enough to earn it back."""
    threads: int | None = None
    """Threads of torch; none chooses, and no more than OMP_NUM_THREADS where that is set."""
    collect: Literal["auto", "sync", "async"] = "auto"
    """When updates run: sync after the step that owes them, async beside the next one; auto is async for pixels."""
    env: EnvConfig = field(default_factory=EnvConfig)
    """The environment."""
    agent: AgentConfig = field(default_factory=AgentConfig)
    """The algorithm."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    """The replay buffer."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How often the agent learns."""
    eval: EvalConfig = field(default_factory=EvalConfig)
    """Evaluations."""
    video: VideoConfig = field(default_factory=VideoConfig)
    """Videos."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """Checkpoints."""
    log: LogConfig = field(default_factory=LogConfig)
    """Logged scalars."""

    def __post_init__(self) -> None:
        at_least(1, {"steps": self.steps, "envs": self.envs, "threads": self.threads})
        at_least(0, {"seed": self.seed})
        at_most(MOST_THREADS, {"threads": self.threads})
        at_most(MOST_EPISODES, {"envs": self.envs})
        if self.minutes is not None and self.minutes <= 0:
            raise UserError(f"minutes is {self.minutes}: it must be positive, or none for no limit")

    def left(self, seconds: float) -> float:
        """Seconds that its minutes leave after so many; without minutes there is no end to them."""
        return math.inf if self.minutes is None else 60.0 * self.minutes - seconds
