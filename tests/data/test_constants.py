"""What looks constant and is not gives an environment no state, instead of a wrong one."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest

from softrl.data.envs import make
from softrl.data.snapshot import snapshot


class Plain(gymnasium.Env[Any, Any]):
    """Of plain data."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = np.zeros(1)
        return self.place, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place = self.place + action
        return self.place, 0.0, False, False, {}


def stepped(kind: Any) -> gymnasium.Env[Any, Any]:
    env = make(kind, seed=0)
    env.reset()
    env.step(np.ones(1, np.float32))
    return env


def test_plain_data_is_a_state() -> None:
    assert snapshot(stepped(Plain)) is not None


def test_what_a_class_draws_for_all_has_no_state() -> None:
    """It cannot be put back for one alone."""

    class Drawn(Plain):
        observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            return self.observation_space.sample(), {}

    class Rolling(Plain):
        rng = np.random.default_rng(0)

    for kind in (Drawn, Rolling):
        assert snapshot(stepped(kind)) is None


@dataclass(frozen=True)
class Moment:
    """Where something is."""

    place: float = 0.0


class Functional(Plain):
    """A state that is never changed, only replaced."""

    moment = Moment()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.moment = Moment(self.moment.place + float(action[0]))
        return np.array([self.moment.place]), 0.0, False, False, {}


def test_a_frozen_state_that_is_replaced_is_no_constant() -> None:
    assert snapshot(stepped(Functional)) is None


class Aiming(Plain):
    """Draws its goal into a function, at a reset."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = super().reset(seed=seed)
        goal = float(self.np_random.normal())
        self.distance = lambda place: place - goal
        return observation, info


class Phased(Plain):
    """Goes from one phase to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = np.random.normal

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.phase = len
        return super().step(action)


class Growing(Plain):
    """Its space is another one after a while."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.observation_space = gymnasium.spaces.Box(-9, 9, (1,))
        return super().step(action)


@pytest.mark.parametrize("kind", [Aiming, Phased, Growing])
def test_a_function_or_space_that_is_replaced_is_no_constant(kind: Any) -> None:
    assert snapshot(stepped(kind)) is None
