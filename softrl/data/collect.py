"""Collection: the agent acts in N environments, and every vector step becomes one row of replay.

Shapes: see `softrl.types`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor
from torch.nn.functional import one_hot

from softrl.data.envs import begin
from softrl.data.snapshot import fitting, restores, snapshots
from softrl.data.workers import worker_errors
from softrl.data.wrappers import VectorStepResult
from softrl.errors import UserError
from softrl.math.transfer import sent
from softrl.types import Carry, Obs, Spec, Step

DTYPES = {"pixels": np.uint8, "state": np.float32}
LEFT = "plan.left"
"""Under this name a policy that plans remembers how much of its plan was left with its newest action, [N]."""


class Acting(Protocol):
    """What collection asks of an agent."""

    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes, each entry [N,..]."""

    def act(self, obs: Obs, carry: Carry, deterministic: bool = False) -> tuple[Tensor, Carry]:
        """Actions [N,A], one-hots before numbers in [-1, 1], and what to remember."""

    def watch(self, obs: Obs, action: Tensor, carry: Carry) -> Carry:
        """What to remember where actions [N,A] are taken that are not the agent's own."""

    def observe(self, row: Step, carry: Carry) -> Carry:
        """Take a row into running statistics; returns what to remember."""


class Episode(NamedTuple):
    """A finished training episode."""

    env: int  # number of its environment
    total: float  # undiscounted return
    frames: int
    success: float | None  # the environment's info["is_success"], where it gives one


class Collected(NamedTuple):
    """What one vector step brought."""

    row: Step
    frames: int
    decisions: int
    episodes: list[Episode]


class Underway(NamedTuple):
    """A step on its way."""

    action: Tensor  # [N,A]
    outcome: Callable[[], VectorStepResult]  # waits for it


class Collector:
    """Steps a vector environment with NEXT_STEP autoreset.

    After an episode's end the environment spends one step on its reset: that step is no decision and no frame, and
    its row carries the final observation, marked `last`. A step has two halves: between `begin` and `finish`
    environments in processes of their own work while their caller does something else.
    """

    def __init__(self, env: VectorEnv, policy: Acting, spec: Spec, seed: int, device: str = "cpu") -> None:
        self.env, self.policy, self.spec, self.device = env, policy, spec, torch.device(device)
        self.seed, self.generator = seed, torch.Generator().manual_seed(seed)
        self.rows = 0  # vector steps finished, over all processes that worked on the run
        count = env.num_envs
        with worker_errors(env):
            observation, _ = env.reset()
        self.obs = self.observed(observation)
        self.done = np.zeros(count, bool)  # waiting for the reset
        self.total, self.length = np.zeros(count), np.zeros(count, np.int64)
        self.carry: Carry = policy.initial(count)
        self.every = torch.ones(count, dtype=torch.long, device=self.device)
        self.exact = np.ones(count, bool)  # environments that a load has brought back to where they were
        self.cut = np.zeros(count, bool)  # those whose episode ended with it
        self.elsewhere = False  # whether a load may meet other environments, in which new episodes begin
        self.underway: Underway | None = None

    def observed(self, observation: np.ndarray) -> Obs:
        """Checked observations as tensors, [N,..]."""
        finite(observation, "an observation")
        return tensors(self.spec, observation, self.device)

    def choose(self, random: bool) -> Tensor:
        """Actions [N,A]: uniform where they are to be random, else the policy's."""
        if random:
            action = sent(uniform(self.spec, self.env.num_envs, self.generator), self.device)
            self.carry = self.policy.watch(self.obs, action, self.carry)
            return action
        action, self.carry = self.policy.act(self.obs, self.carry)
        return action

    def collect(self, random: bool = False) -> Collected:
        """One vector step; raises UserError when the environment fails or returns numbers that are not finite."""
        self.begin(random)
        return self.finish()

    def begin(self, random: bool = False) -> None:
        """Choose actions and send them; raises UserError for actions that are not finite."""
        if self.underway:
            raise RuntimeError("a step was begun and not finished")
        action = self.choose(random)
        taken = action.cpu().numpy()
        if not np.isfinite(taken).all():
            raise diverged()
        self.underway = Underway(action, begin(self.env, taken))

    def finish(self) -> Collected:
        """What the step that was begun brought; raises UserError as `collect` does."""
        if not self.underway:
            raise RuntimeError("no step was begun")
        (action, outcome), self.underway = self.underway, None
        observation, reward, terminated, truncated, info = outcome()
        waiting = self.done
        resting = bool(waiting.any())
        frames, decisions = info["frames"], len(waiting)
        if resting:  # what a reset returns is no outcome of an action
            action = action.masked_fill(sent(torch.from_numpy(waiting)[:, None], self.device), 0.0)
            reward, frames = np.where(waiting, 0.0, reward), np.where(waiting, 0, frames)
            terminated, truncated = terminated & ~waiting, truncated & ~waiting
            decisions -= int(waiting.sum())
        with np.errstate(all="ignore"):  # what float32 cannot hold is found below
            rewards = reward.astype(np.float32)
        finite(rewards, "a reward")
        row = Step(
            obs=self.obs,
            action=action,
            reward=torch.from_numpy(rewards),
            terminated=torch.from_numpy(terminated),
            last=torch.from_numpy(waiting),
            left=self.carry.get(LEFT, self.every),
        )
        self.carry = self.policy.observe(row, self.carry)
        self.rows += 1
        self.total += reward
        self.length += frames
        self.done = terminated | truncated
        episodes = [self.close(int(i), info) for i in np.flatnonzero(self.done)]
        self.obs = self.observed(observation)
        if resting:
            self.forget(waiting)
        return Collected(row, int(frames.sum()), decisions, episodes)

    def close(self, i: int, info: dict[str, Any]) -> Episode:
        """Close the statistics of environment `i`."""
        episode = Episode(i, float(self.total[i]), int(self.length[i]), success(info, i))
        self.total[i], self.length[i] = 0.0, 0
        return episode

    def forget(self, begun: np.ndarray) -> None:
        """Start afresh all that the policy remembers of environments whose episode has just begun, [N] bool."""
        if self.carry:
            fresh = self.policy.initial(len(begun))
            where = sent(torch.from_numpy(begun), self.device)
            for name, value in self.carry.items():
                value.copy_(torch.where(where.view(-1, *[1] * (value.dim() - 1)), fresh[name], value))

    def state_dict(self) -> dict[str, Any]:
        """Environments, observations, statistics and generator; not between `begin` and `finish`."""
        if self.underway:
            raise RuntimeError("a step was begun: finish it before its state is taken")
        states = snapshots(self.env)
        return {
            "rows": self.rows,
            "obs": dict(self.obs),
            "over": self.done,
            "total": self.total,
            "length": self.length,
            "carry": dict(self.carry),
            "generator": self.generator.get_state(),
            "exact": [state is not None for state in states],
            "environments": {str(i): state for i, state in enumerate(states) if state is not None},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where the state was taken.

        An environment that could not give its state is reset: its episode is closed by a `last` row. What follows are
        other episodes at every row, the same ones each time from the same row.
        """
        self.rows = state.get("rows", 0)  # which older checkpoints do not have
        states = [state["environments"].get(str(i)) for i in range(self.env.num_envs)]
        if self.elsewhere:
            states = fitting(self.env, states)
        restores(self.env, states, seed_after_resume(self.seed, self.rows))
        self.obs = {name: value.to(self.device) for name, value in state["obs"].items()}
        self.exact = np.array([one is not None for one in states])
        self.cut = ~self.exact & ~np.asarray(state["over"], bool)
        self.done = np.where(self.exact, state["over"], True)
        self.total = np.where(self.exact, state["total"], 0.0)
        self.length = np.where(self.exact, state["length"], 0)
        self.carry = {name: value.to(self.device) for name, value in state["carry"].items()}
        self.generator.set_state(state["generator"])


def seed_after_resume(seed: int, rows: int) -> int:
    """The seed, below 2^31, of the episodes that begin after a resume at this row."""
    return int(np.random.SeedSequence(seed, spawn_key=(rows,)).generate_state(1)[0]) >> 1


def success(info: dict[str, Any], i: int) -> float | None:
    """What environment `i` of a vector says of its episode's success, or None where it is silent, as a mask tells."""
    told = info.get("_is_success")
    return float(info["is_success"][i]) if told is not None and told[i] else None


def diverged() -> UserError:
    """What is said where a policy's actions are not finite."""
    return UserError(
        "learning diverged: the policy's actions are not finite; resume from the last checkpoint, or start again with "
        "a smaller learning rate or reward scale"
    )


def finite(values: np.ndarray, what: str) -> None:
    """Refuse what environments returned, [N] or [N,..], where it is no number; raises UserError."""
    if not np.isfinite(values).all():
        env, *entry = np.argwhere(~np.isfinite(values))[0].tolist()
        place = f"{values[(env, *entry)]:g}" + (f" in entry {', '.join(map(str, entry))}" if entry else "")
        raise UserError(
            f"the environment returned {what} that is not finite, or beyond the 3.4e38 of float32 ({place}, "
            f"environment {env} of {len(values)}): mend the environment, then resume from the last checkpoint"
        )


def tensors(spec: Spec, observation: np.ndarray, device: torch.device | str) -> Obs:
    """Observations of environments from `make`, [N,..], as the agent sees them: uint8 `pixels` or float32 `state`."""
    [name] = spec.obs
    with np.errstate(all="ignore"):
        cast = np.array(observation, DTYPES[name])
    return {name: sent(torch.from_numpy(cast), torch.device(device))}


def uniform(spec: Spec, count: int, generator: torch.Generator) -> Tensor:
    """Random actions [N,A]: each choice and each number in [-1, 1] uniformly and by itself."""
    picks = [torch.randint(size, (count,), generator=generator) for size in spec.choices]
    numbers = torch.rand((count, spec.continuous), generator=generator).mul(2).sub(1)
    one_hots = [one_hot(pick, size).float() for pick, size in zip(picks, spec.choices, strict=True)]
    return torch.cat([*one_hots, numbers], -1)
