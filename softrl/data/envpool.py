"""EnvPool, an optional accelerator: all environments of a vector in threads of C++, with the face of the others.

Shapes: see `softrl.types`.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from gymnasium.spaces import Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from softrl.data.spaces import FlatActions, spelled
from softrl.data.wrappers import Info, VectorStepResult
from softrl.errors import UserError, nearest

NEVER = 2**31 - 1
"""The time limit that EnvPool is given: in the frame of its own limit it cannot tell an end from a cut."""
SEEDS = 2**30
"""Seeds lie below this: EnvPool adds the number of the environment, and takes 31 bits."""


class Pool(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N environments of EnvPool, as `softrl.data.envs.vector` gives them.

    float32 observations [N,D], actions [N,A] as `FlatActions` has them, each held for `repeat` frames, episodes cut
    after `limit` frames, NEXT_STEP autoreset, `info["frames"]`. A step has two halves, between which the threads work.
    Raises UserError where the package is missing, has no such task, or has it with other spaces than Gymnasium.
    """

    def __init__(
        self, name: str, spaces: tuple[Space[Any], FlatActions], limit: int | None, repeat: int, envs: int, seed: int
    ) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space, self.single_action_space = spaces
        self.observation_space = batch_space(self.single_observation_space, envs)
        self.action_space = batch_space(self.single_action_space, envs)
        self.name, self.num_envs, self.limit, self.repeat = name, envs, limit or NEVER, repeat
        with unwarned():
            self.pool = opened(name, envs, seed)
            self.flat = agreed(name, self.pool, *spaces)
        self.done = np.zeros(envs, bool)  # waiting for the reset
        self.elapsed = np.zeros(envs, np.int64)  # frames of the episode
        self.blank()

    def blank(self) -> None:
        """An outcome in which nothing has happened yet."""
        self.observation = np.zeros(self.observation_space.shape or (), np.float32)  # [N,D]
        self.reward, self.frames = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        self.terminated, self.truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)

    def reset(self, *, seed: int | list[int] | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Start an episode in every environment; with a seed, which EnvPool only takes when made, in a new one.

        Raises UserError for options, and for a seed of each environment.
        """
        if isinstance(seed, list) or options:
            raise UserError("EnvPool takes one seed for all environments and no options: reset it with a single number")
        if seed is not None:
            self.pool.close()
            with unwarned():
                self.pool = opened(self.name, self.num_envs, seed)
        self.blank()
        self.restart(np.arange(self.num_envs, dtype=np.int32))
        self.done = np.zeros(self.num_envs, bool)
        return self.observation, {"frames": self.frames}

    def restart(self, envs: np.ndarray) -> None:
        """Start episodes in the environments of these numbers."""
        observation, info = self.pool.reset(envs)
        self.observation[info["env_id"]] = observation.reshape(len(envs), -1)
        self.elapsed[envs] = 0

    def step_async(self, actions: np.ndarray) -> None:
        """Reset the environments whose episode is over, and send the actions [N,A] of the others."""
        self.blank()
        self.actions = self.flat.batch(actions)
        if self.done.any():
            self.restart(np.flatnonzero(self.done).astype(np.int32))
        self.send(np.flatnonzero(~self.done))

    def send(self, envs: np.ndarray) -> None:
        """Send their actions to the environments of these numbers, for one frame."""
        self.stepping = envs.astype(np.int32)
        if len(envs):
            self.pool.send(self.actions[envs], self.stepping)

    def step_wait(self) -> VectorStepResult:
        """The outcome of the step that was begun."""
        while len(self.stepping):
            observation, reward, terminated, _, info = self.pool.recv()
            came = info["env_id"]
            self.observation[came] = observation.reshape(len(came), -1)
            self.reward[came] += reward
            self.frames[came] += 1
            self.elapsed[came] += 1
            self.terminated[came] = terminated
            self.truncated[came] = self.elapsed[came] >= self.limit
            over = self.terminated[came] | self.truncated[came]
            self.send(came[~over & (self.frames[came] < self.repeat)])
        self.done = self.terminated | self.truncated
        return self.observation, self.reward, self.terminated, self.truncated, {"frames": self.frames}

    def step(self, actions: np.ndarray) -> VectorStepResult:
        """One whole step."""
        self.step_async(actions)
        return self.step_wait()

    @property
    def exact_state(self) -> list[None]:
        """EnvPool gives no state of its environments."""
        return [None] * self.num_envs

    @exact_state.setter
    def exact_state(self, states: list[Info | None]) -> None:
        """Have every environment reset at its next step; raises UserError for a state, which cannot be put back."""
        if any(state is not None for state in states):
            raise UserError(
                "the checkpoint has states of its environments, which EnvPool cannot take: resume with the "
                "env.workers that the run was started with"
            )
        self.done = np.ones(self.num_envs, bool)

    def get_attr(self, name: str) -> Any:
        """An attribute with an entry for each environment."""
        return getattr(self, name)

    def set_attr(self, name: str, values: list[Any]) -> None:
        """Set an attribute with an entry for each environment."""
        setattr(self, name, values)

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads."""
        self.pool.close()
        del self.pool


@contextmanager
def unwarned() -> Iterator[None]:
    """Without Gymnasium's warnings of the rounding of EnvPool's bounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def opened(name: str, envs: int, seed: int) -> Any:
    """EnvPool's own vector of a task; raises UserError where EnvPool is not here or has no such task."""
    try:
        import envpool
    except ImportError as error:
        raise UserError(
            f"--env.workers envpool needs the package envpool, which cannot be imported ({error}): pip install "
            "'softrl[envpool]', or use --env.workers async"
        ) from error
    tasks = envpool.list_all_envs()
    if name not in tasks:
        raise UserError(f"EnvPool has no task '{name}': use --env.workers async{nearest(name, tasks)}")
    start = int(np.random.SeedSequence(seed).generate_state(1)[0]) % SEEDS
    return envpool.make_gymnasium(name, num_envs=envs, seed=start, max_episode_steps=NEVER)


def agreed(name: str, pool: Any, observed: Space[Any], acted: FlatActions) -> FlatActions:
    """EnvPool's actions; raises UserError where its spaces are not those of Gymnasium, where evaluations run."""
    flat = FlatActions(pool.action_space)
    if (
        math.prod(pool.observation_space.shape or ()) == math.prod(observed.shape or ())
        and flat.choices == acted.choices
        and flat.continuous == acted.continuous
        and all(np.allclose(flat.decode(end), acted.decode(end)) for end in (flat.low, flat.high))
    ):
        return flat
    raise UserError(
        f"EnvPool's {name} observes {spelled(pool.observation_space)} and takes {spelled(pool.action_space)}, other "
        "than Gymnasium's, in which evaluations run: use --env.workers async"
    )
