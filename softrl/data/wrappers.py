"""Wrappers that give every environment one face: flat float32 observations and actions, counted frames."""

import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Space
from gymnasium.spaces.utils import flatdim, flatten
from gymnasium.vector.utils import batch_space, iterate

from softrl.data.failures import failure, misreturned, one_line
from softrl.data.spaces import FlatActions, entries, spelled
from softrl.errors import Caution, UserError

AnyEnv = gymnasium.Env[Any, Any]
Info = dict[str, Any]
StepResult = tuple[Any, float, bool, bool, Info]
"""What a step of one environment returns."""
VectorStepResult = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]
"""What a step of a vector returns: observations [N,..], rewards [N], terminated [N], truncated [N], infos."""


class Frames(gymnasium.Wrapper[Any, Any, Any, Any]):  # checkpoints know wrappers by the names of their classes
    """Repeats each action and adds up the rewards; stops early at the episode's end.

    `info["frames"]` is the number of frames really taken: `repeat`, fewer at the end, 0 for a reset.
    """

    def __init__(self, env: AnyEnv, repeat: int) -> None:
        super().__init__(env)
        self.repeat = repeat

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode, which takes no frame; raises UserError for what is no result of a reset."""
        outcome = self.env.reset(seed=seed, options=options)
        try:
            observation, info = outcome
            return observation, {**info, "frames": 0}
        except Exception as error:
            raise misreturned(self, "reset", outcome) from error

    def step(self, action: Any) -> StepResult:
        """One decision; raises UserError for what is no result of a step."""
        total, frames, over = 0.0, 0, False
        while frames < self.repeat and not over:
            outcome: Any = self.env.step(action)
            try:
                observation, reward, terminated, truncated, info = outcome
                total, frames, over = total + float(0.0 + reward), frames + 1, bool(terminated or truncated)
            except Exception as error:
                raise misreturned(self, "step", outcome) from error
        try:
            return observation, total, bool(terminated), bool(truncated), {**info, "frames": frames}
        except Exception as error:
            raise misreturned(self, "step", outcome) from error


class Brief(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps of `info` what training reads: `frames`, and `is_success` (also found under `success`) as a float.

    The rest would cross from process to process at every step, and need not fit into a vector's arrays.
    """

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {"frames": info["frames"]}

    def step(self, action: Any) -> StepResult:
        """One decision."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        told = {"frames": info["frames"]}
        for name in ("success", "is_success"):
            if info.get(name) is not None:
                told["is_success"] = succeeded(name, info[name])
        return observation, float(reward), terminated, truncated, told


def succeeded(name: str, said: Any) -> float:
    """Whether an episode has succeeded, as the environment tells; raises UserError where that is no number."""
    try:
        return float(said)
    except (TypeError, ValueError) as error:
        raise UserError(f"the environment's info['{name}'] is {said!r}: let it be one number or truth value") from error


class Flat(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """Observations as one float32 array [D].

    Arrays are read row by row; Dict entries follow the order of the space (Gymnasium sorts them by name), Tuple entries
    their own; a 0-d entry is one number; a Discrete entry is a one-hot. Raises UserError for a space without a fixed
    size.
    """

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        space = env.observation_space
        if not space.is_np_flattenable:
            raise UserError(
                f"the observation space {type(space).__name__} has no fixed size: wrap the environment to give a Box "
                "or a Dict of Boxes"
            )
        self.array = isinstance(space, Box)
        self.observation_space = Box(-np.inf, np.inf, (flatdim(space),), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        """[D] float32, always a new array."""
        try:
            with np.errstate(all="ignore"):  # what float32 cannot hold is refused where it is collected
                given = np.array(observation if self.array else self.flattened(observation), np.float32)
        except Exception as error:
            raise UserError(
                "the environment gave an observation that its observation_space does not describe "
                f"({type(error).__name__}: {one_line(error)}): let both say the same"
            ) from error
        row = given.reshape(-1)
        declared = self.env.observation_space.shape or ()
        if self.array and solid(given.shape) != solid(declared) and row.shape == self.observation_space.shape:
            raise UserError(
                f"the environment gave an observation of shape {list(given.shape)}, and its observation_space has "
                f"{list(declared)}: let both say the same"
            )
        if row.shape != self.observation_space.shape:
            raise UserError(
                f"the environment gave an observation of {row.size} numbers, and its observation_space has "
                f"{flatdim(self.env.observation_space)}: let both say the same"
            )
        return row

    def flattened(self, observation: Any) -> Any:
        """As Gymnasium flattens it, which takes a choice that there is not for one counted from the end."""
        check_choices(self.env.observation_space, observation)
        return flatten(self.env.observation_space, observation)


def solid(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of one."""
    return tuple(size for size in shape if size != 1)


def check_choices(space: Space[Any], observation: Any) -> None:
    """Raise ValueError for a choice in an observation that its space has not."""
    for key, entry in entries(space).items():
        check_choices(entry, observation[key])
    if isinstance(space, Discrete | MultiDiscrete | MultiBinary) and not space.contains(observation):
        raise ValueError(f"{observation!r} is not in {spelled(space)}")


def flat_rows(space: Space[Any], observations: Any, count: int) -> np.ndarray:
    """So many observations of a space, as vectors have them, each flat as from `Flat`, [count,D]."""
    each: list[Any] = [flatten(space, one) for one in iterate(batch_space(space, count), observations)]
    return np.stack(each)


class UnitBox(gymnasium.ActionWrapper[Any, np.ndarray, Any]):
    """Actions as flat float32 vectors [A] (`softrl.data.spaces.FlatActions`): the environment gets what it declares.

    Raises UserError for infinite bounds and for spaces that no flat vector stands for.
    """

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        self.action_space = self.flat = FlatActions(env.action_space)

    def action(self, action: np.ndarray) -> Any:
        """The environment's own action; raises UserError for what is no vector."""
        if np.shape(action) != self.flat.shape:
            raise UserError(
                f"environments of softrl.make take vectors [{self.flat.shape[0]}], and this one was given {action!r}: "
                "env.action_space.encode(action) makes one of the environment's own action"
            )
        return self.flat.decode(action)


class Spoken(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Turns whatever the environment raises into a UserError with one sentence.

    In a worker process this also keeps an exception that cannot be pickled from being lost on its way.
    """

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode; raises UserError."""
        try:
            return self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise failure(self, "reset", error) from error

    def step(self, action: Any) -> StepResult:
        """One decision; raises UserError."""
        try:
            return self.env.step(action)  # type: ignore[return-value]
        except (Exception, SystemExit) as error:
            raise failure(self, "step", error) from error

    def render(self) -> Any:
        """A picture; raises UserError."""
        try:
            return self.env.render()
        except (Exception, SystemExit) as error:
            raise failure(self, "render", error) from error

    def close(self) -> None:
        """The end, of which a failure is told by a warning: nothing depends on it any more."""
        try:
            self.env.close()
        except (Exception, SystemExit) as error:
            warnings.warn(str(failure(self, "close", error)), Caution, stacklevel=2)
