"""Evaluation: whole episodes in environments of their own, seeded by where in the run they stand.

Shapes: see `softrl.types`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import Env
from gymnasium.spaces import Space
from gymnasium.vector import VectorEnv
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.chunk import mean_executed
from softrl.data import envs
from softrl.data.collect import diverged, finite, success, tensors
from softrl.data.origin import source_of
from softrl.data.sources import Source
from softrl.data.spaces import FlatActions
from softrl.errors import UserError
from softrl.run.config import Run
from softrl.run.observations import NUMBERS, rows
from softrl.run.seed import isolated_generators
from softrl.run.video import EndlessError, Reel
from softrl.types import Carry

LONGEST = 100_000
"""Decisions after which an episode is taken for one that never ends."""
SLOWEST, USUAL, QUICKEST = 0.1, 30.0, 1000.0
"""Frames a second that a video may have, and has where the environment does not say."""
ENDS = "give episodes an end, as with --env.time_limit 1000, from Python **{'env.time_limit': 1000}"


class Evaluation(NamedTuple):
    """Finished episodes, in the order of their seeds."""

    returns: list[float]
    lengths: list[int]  # frames
    successes: list[float]  # of those episodes of whose success the environment says something
    plans: list[tuple[float | None, ...]]  # mean executed length and confidence, nothing where actions are not planned
    cut: Sequence[bool] = ()  # whether each had no end and was cut, with what it had by then


class StoppedError(Exception):
    """Somebody wants the process to end before an evaluation or a film is over."""


def never() -> None:
    """Nobody wants the process to end."""


def evaluate(
    agent: Agent,
    env: VectorEnv,
    seeds: Sequence[int],
    deterministic: bool = True,
    look: Callable[[], None] = never,
) -> Evaluation:
    """One episode for each seed, side by side in as many environments; `look` is called at every decision.

    The generators of training are left as they were, and nothing of the agent changes. An episode that does not seem to
    end is cut. Raises UserError where the environment fails or returns numbers that are not finite, or the actions are
    not.
    """
    count = len(seeds)
    target = agent.temperature.target
    returns, lengths = np.zeros(count), np.zeros(count, np.int64)
    successes: dict[int, float] = {}
    plans: list[tuple[float | None, ...]] = [()] * count
    with isolated_generators(seeds[0], target):
        observation, _ = env.reset(seed=list(seeds))  # type: ignore[arg-type]
        carry = agent.initial(count)
        running, cut = np.ones(count, bool), np.zeros(count, bool)
        decisions = 0
        while running.any():
            look()
            decisions += 1
            finite(observation, "an observation")
            action, carry = agent.act(tensors(agent.spec, observation, target.device), carry, deterministic)
            observation, reward, terminated, truncated, info = envs.step(env, executable(action))
            finite(reward, "a reward")
            returns += np.where(running, reward, 0.0)
            lengths += np.where(running, info.get("frames", 0), 0)
            if decisions == LONGEST:
                cut = running & ~(terminated | truncated)
            ended = running & (terminated | truncated | cut)
            for i in np.flatnonzero(ended).tolist():
                plans[i] = mean_executed(carry, i)
                said = success(info, i)
                successes |= {} if said is None else {i: said}
            running &= ~ended
    told = [successes[i] for i in sorted(successes)]
    return Evaluation(returns.tolist(), lengths.tolist(), told, plans, cut.tolist())


def caution(result: Evaluation) -> str:
    """What is said of episodes that were cut; nothing where all of them ended."""
    if not any(result.cut):
        return ""
    return (
        f"{sum(result.cut)} of {len(result.cut)} evaluation episodes had no end after {LONGEST} decisions and were cut "
        f"there: they count with the return that they had; {ENDS}"
    )


def film(
    agent: Agent,
    env: Env[Any, Any],
    seed: int,
    show: Callable[[np.ndarray], None],
    deterministic: bool = True,
    look: Callable[[], None] = never,
) -> float:
    """One episode, each rendered frame [height,width,3] uint8 handed to `show`; returns the undiscounted return.

    The generators of training are left as they were.
    """
    target = agent.temperature.target
    with isolated_generators(seed, target):
        observation, _ = env.reset(seed=seed)
        carry, total, over, decisions = agent.initial(1), 0.0, False, 0
        show(rendered(env))
        while not over:
            look()
            decisions = counted(decisions)
            action, carry = agent.act(tensors(agent.spec, observation[None], target.device), carry, deterministic)
            observation, reward, terminated, truncated, _ = env.step(executable(action)[0])
            total, over = total + float(reward), bool(terminated or truncated)
            show(rendered(env))
    return total


def executable(action: Tensor) -> np.ndarray:
    """Actions for environments, [N,A]; raises UserError where they are not finite."""
    taken: np.ndarray = action.cpu().numpy()
    if not np.isfinite(taken).all():
        raise diverged()
    return taken


def counted(decisions: int) -> int:
    """One decision more; raises EndlessError where an episode does not seem to end."""
    if decisions == LONGEST:
        raise EndlessError(f"an episode has not ended after {LONGEST} decisions: {ENDS}")
    return decisions + 1


def filmed(
    agent: Agent, source: Source, run: Run, seed: int, deterministic: bool = True, look: Callable[[], None] = never
) -> tuple[list[np.ndarray], float]:
    """The frames of one episode and their rate a second; raises UserError where rendering cannot work or never ends."""
    with isolated_generators(seed, agent.temperature.target):  # some draw while they are made
        env = envs.make(source, run.env, render=run.video.size)
    frames = Reel()
    try:
        film(agent, env, seed, frames.add, deterministic, look)
    finally:
        env.close()
    return frames, pace(env.metadata.get("render_fps")) / envs.repeats(source, run.env)


def pace(told: Any) -> float:
    """Frames a second, as the environment says, and 30 where what it says is nothing that can be shown."""
    try:
        return float(told) if SLOWEST <= float(told) <= QUICKEST else USUAL
    except (TypeError, ValueError):
        return USUAL


def rendered(env: Env[Any, Any]) -> np.ndarray:
    """The environment's picture, [height,width,3] uint8; raises UserError for anything else."""
    given = env.render()
    try:
        picture = np.asarray(given)
    except ValueError:  # lists of several lengths
        picture = np.zeros(0)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype.kind not in "ui":
        raise UserError(
            f"the environment's render() gave {type(given).__name__} {list(picture.shape)} of {picture.dtype}: videos "
            "need an array [height, width, 3] of uint8, or --video.every never"
        )
    return picture.astype(np.uint8, copy=False)


def begun(starts: Tensor, first: Tensor, value: Tensor) -> Tensor:
    """What is remembered, [N,..]: the `first` where an episode starts, [N], else the value."""
    return torch.where(starts.view(-1, *[1] * (value.dim() - 1)), first, value)


def shapes(carry: Any) -> dict[str, torch.Size | None] | None:
    """The shapes of what is remembered, by name; None of what is no such thing."""
    known = isinstance(carry, Mapping)
    return {name: getattr(value, "shape", None) for name, value in carry.items()} if known else None


class Policy:
    """A trained agent as its users call it: observations of one environment or of N, in the environment's units.

    `predict` follows Stable-Baselines3: it returns the action and the state to hand to the next call.
    """

    def __init__(
        self,
        agent: Agent,
        space: Space[Any],
        run: Run,
        observed: Space[Any] | None = None,
        source: Source | None = None,
    ) -> None:
        """`space` and `observed` are the environment's own, of actions and observations; `source` is what makes it."""
        self.agent, self.flat, self.run = agent, FlatActions(space), run
        self.observed, self.source = observed, run.env.name if source is None else source

    @property
    def observation_space(self) -> Space[Any] | None:
        """The environment's own space of observations; None where the policy sees pictures."""
        return self.observed

    @property
    def action_space(self) -> Space[Any]:
        """The environment's own space of actions, of which `predict` returns one, or N."""
        return self.flat.space

    def make(self, seed: int | None = None) -> Env[Any, Any]:
        """The run's environment as `softrl.make` gives it, with its repeat, limit and losses; raises UserError."""
        return envs.make(source_of(None, self.source), self.run.env, seed)

    def predict(
        self, obs: Any, state: Carry | None = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Carry]:
        """The environment's action for observation [D] or actions for [N,D], and the state for the next call.

        An observation is what `softrl.make` gives, or what the environment itself does, a Dict for instance; N of them
        are what Gymnasium's vector environments give. Where the agent sees pixels it is uint8 [3 * stack,H,W], as
        `softrl.make` has it. One action is exactly what the environment's space declares. N of them are what
        Gymnasium's vector environments take: an array [N,..] for Box, Discrete, MultiDiscrete and MultiBinary; for
        Tuple and Dict the same nest with such an array in each place, which `gymnasium.vector.utils.iterate` splits.
        With `deterministic=False` they are those of the agent while it collects, exploration included. A world model
        draws what it believes of the world in both cases, from torch's generator.
        `episode_start`, [N] bool, says which of them have just begun an episode: these forget what `state` remembers.
        Raises UserError for observations of another kind, for numbers that are not finite, and for a state or an
        `episode_start` of another number of environments.
        """
        given = rows(self.observed, obs)
        [(name, shape)] = self.agent.spec.obs.items()
        one = given.ndim == len(shape)
        many = given[None] if one else given  # [N,..]
        fits = many.dtype == np.uint8 if name == "pixels" else many.dtype.kind in NUMBERS
        if many.shape[1:] != shape or not fits:
            shown = f"{given.dtype} {list(given.shape)}" if given.dtype.kind in NUMBERS else type(obs).__name__
            raise UserError(
                f"the policy was given {shown}: it takes {name} {list(shape)}, or N of them"
                + (", as uint8; policy.make() makes an environment that shows them" if name == "pixels" else "")
            )
        device = self.agent.temperature.target.device
        seen = tensors(self.agent.spec, many, device)
        if name == "state" and not torch.isfinite(seen[name]).all():
            raise UserError("the policy was given an observation that is not finite: no action follows from it")
        first = self.agent.initial(len(many))
        carry = first if state is None else state
        if shapes(carry) != shapes(first):
            raise UserError(
                f"the policy was given a state that is not one of {len(many)} environments: pass what the last call "
                "for them returned, or None where their episodes begin"
            )
        if episode_start is not None:
            new = torch.as_tensor(episode_start, device=device).view(-1).bool()
            if len(new) != len(many):
                raise UserError(f"episode_start has {len(new)} entries for {len(many)} observations: give one for each")
            carry = {name: begun(new, first[name], value) for name, value in carry.items()}
        action, carry = self.agent.act(seen, carry, deterministic)
        flat = action.cpu().numpy()  # [N,A]
        return (self.flat.decode(flat[0]) if one else self.flat.batch(flat)), carry
