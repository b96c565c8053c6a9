"""Environments that draw from their spaces: the draws follow the seed, and go on exactly."""

from typing import Any

import gymnasium
import numpy as np

from softrl.data.envs import EnvConfig, make
from softrl.data.snapshot import restore, snapshot

LIMIT = EnvConfig(time_limit=40)
REST = np.zeros(1, np.float32)


class Drawing(gymnasium.Env[Any, Any]):
    """Draws what is seen, and what is done, from its spaces."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))
        self.action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), float(self.action_space.sample()[0]), False, False, {}


class Shared(Drawing):
    """Its spaces are the class's, which all its objects draw from."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self) -> None:
        pass

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        gymnasium.Env.reset(self, seed=seed)
        return self.np_random.normal(size=2).astype(np.float32), {}

    def step(self, action: Any) -> Any:
        return np.zeros(2, np.float32), 0.0, False, False, {}


def assert_goes_on(source: Any) -> None:
    """What another environment gives after a restore is what the first one gives."""
    one, other = make(source, LIMIT, seed=1), make(source, LIMIT, seed=2)
    one.reset()
    other.reset()
    one.step(REST)
    state = snapshot(one)
    assert state is not None
    restore(other, state)
    for _ in range(5):
        np.testing.assert_array_equal(one.step(REST)[0], other.step(REST)[0])
    np.testing.assert_array_equal(one.reset()[0], other.reset()[0])


def test_draws_from_spaces_follow_the_seed_and_are_state() -> None:
    def path(seed: int) -> list[np.ndarray]:
        env = make(Drawing, LIMIT, seed=seed)
        return [env.reset()[0], *(env.step(REST)[0] for _ in range(3))]

    np.testing.assert_array_equal(path(5), path(5))
    assert not np.array_equal(path(5), path(6))
    assert_goes_on(Drawing)


def test_spaces_of_a_class_stay_as_they_are() -> None:
    """A generator in them would draw for all its objects, and no state could be put back for one alone."""
    assert_goes_on(Shared)
    assert Shared.observation_space._np_random is None


class Handing(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Has the spaces of what it wraps as its own, and things that are called like spaces and environments."""

    def __init__(self) -> None:
        super().__init__(Shared())
        self.action_space, self._observation_space = self.env.action_space, None
        self.env.env, self.env._action_space = "task-1", ["left", "right"]  # type: ignore[attr-defined]


def test_a_wrapper_may_hand_on_a_space_of_a_class() -> None:
    assert_goes_on(Handing)
    assert Shared.action_space._np_random is None


def test_the_flat_wrapper_has_the_state_that_it_had() -> None:
    """Runs that were begun with it as it was go on: what it needs besides is no attribute."""
    one = make(Drawing, LIMIT, seed=1)
    one.reset()
    state = snapshot(one)
    assert state is not None
    kept = {entry["class"]: set(entry["state"]["attributes"]) for entry in state["layers"].values()}
    assert kept["Flat"] >= {"array"}
    assert not any("shape" in name for name in kept["Flat"])
