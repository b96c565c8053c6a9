"""After a restore everything that follows is what would have followed, bit for bit."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

from softrl.data.envs import EnvConfig, make, vector
from softrl.data.names import TASKS
from softrl.data.snapshot import restore, restores, snapshot, snapshots
from softrl.data.sources import Source
from softrl.errors import UserError

Rows = Callable[..., list[Any]]
SOME = [
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "cartpole_swingup",
    "reacher_easy",
    "Hopper-v5",
    "Ant-v5",
    "cheetah_run",
    "CartPole-v1",
    "Acrobot-v1",
    "softrl/Gears-v0",
]
LIMIT = 40  # frames, so that episodes also end by themselves
MUJOCO = [
    name
    for name, entry in gymnasium.registry.items()
    if "envs.mujoco" in str(entry.entry_point) and entry.version in (4, 5) and name != "Pusher-v4"  # needs mujoco<3
]


def from_disk(state: dict[str, Any]) -> dict[str, Any]:
    """The state as a checkpoint gives it back."""
    from softrl.run.state import join, split, to_json  # imports torch, which the workers here do without

    plain, arrays = split(state)
    return join(json.loads(to_json(plain)), arrays)


def assert_exact(source: Source, taken: int, steps: int = 100, config: EnvConfig = EnvConfig(time_limit=LIMIT)) -> None:
    """Take the state after `taken` decisions, put it into another environment, and go on with both."""
    env, other = make(source, config, seed=1), make(source, config, seed=2)
    rng = np.random.default_rng(0)

    def action() -> np.ndarray:
        return rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)

    env.reset()
    over = False
    for _ in range(taken):
        if over:
            env.reset()
        _, _, terminated, truncated, _ = env.step(action())
        over = terminated or truncated
    other.reset()
    other.step(action())
    state = snapshot(env)
    assert state is not None
    restore(other, from_disk(state))
    for i in range(steps):
        if over or i == 7:  # also a reset in the middle of an episode
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        chosen = action()
        observation, *outcome = env.step(chosen)
        observed, *other_outcome = other.step(chosen)
        np.testing.assert_array_equal(observation, observed)
        assert outcome[:3] == other_outcome[:3]
        assert outcome[3]["frames"] == other_outcome[3]["frames"]
        over = bool(outcome[1] or outcome[2])
    env.close()
    other.close()


@pytest.mark.parametrize(
    "taken", [pytest.param(0, marks=pytest.mark.slow), 1, 25, pytest.param(LIMIT, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", SOME)
def test_exact(name: str, taken: int) -> None:
    assert_exact(name, taken)


def test_exact_under_repeat() -> None:
    assert_exact("reacher_easy", 13, config=EnvConfig(repeat=3, time_limit=LIMIT))


@pytest.mark.slow
@pytest.mark.parametrize("taken", [0, 30, 250])
@pytest.mark.parametrize("name", TASKS)
def test_exact_on_every_suite_task(name: str, taken: int) -> None:
    assert_exact(name, taken, steps=150, config=EnvConfig(time_limit=300))


@pytest.mark.slow
@pytest.mark.parametrize("taken", [0, 30, 250])
@pytest.mark.parametrize("name", MUJOCO)
def test_exact_on_every_gymnasium_mujoco_task(name: str, taken: int) -> None:
    assert_exact(name, taken, steps=150, config=EnvConfig(time_limit=300))


def test_there_are_gymnasium_mujoco_tasks() -> None:
    assert {"HalfCheetah-v4", "Hopper-v5", "Pusher-v5"} <= set(MUJOCO)


class Drift(gymnasium.Env[Any, Any]):
    """A user's environment of plain data: noise of its own, a list of visits, a pull drawn at the reset."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self) -> None:
        self.noise, self.visits = np.random.RandomState(0), []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.pull = self.np_random.normal()  # an attribute that is only there after a reset
        self.place, self.visits = np.zeros(2), []
        return self.seen(), {}

    def seen(self) -> np.ndarray:
        return np.array([*self.place, len(self.visits)])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place = self.place + self.pull * action + self.noise.normal(size=2)
        self.visits.append(self.place)
        return self.seen(), float(sum(visit[0] for visit in self.visits)), bool(abs(self.place[0]) > 9), False, {}


class Speaking(PendulumEnv):
    """Holds what cannot be read, and gives its state itself."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = iter(range(3))

    def snapshot(self) -> dict[str, Any]:
        return {"state": np.array(self.state), "rng": self.np_random.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        self.state, self.np_random.bit_generator.state = state["state"].copy(), state["rng"]


class Silent(PendulumEnv):
    """Holds what cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.secret = iter(range(3))


def test_environments_of_plain_data() -> None:
    assert_exact(Drift, 25)


def test_environments_that_speak_for_themselves() -> None:
    assert_exact(Speaking, 25)


class Telling(PendulumEnv):
    """Answers a tuple, numbers of NumPy's, and Python's generator as it gives its state."""

    def __init__(self) -> None:
        super().__init__()
        self.secret, self.rng = iter(range(3)), random.Random(3)
        self.count, self.pull = np.int64(0), np.float32(0.1)

    def step(self, action: np.ndarray) -> Any:
        observation, reward, *ends = super().step(action)
        self.count += 1
        self.pull = np.float32(self.pull * np.float32(1.1) + self.rng.random())
        return observation * self.pull + self.count, reward, *ends

    def snapshot(self) -> dict[str, Any]:
        at = (tuple(self.state.tolist()), [self.last_u])
        return {"at": at, "numbers": (self.count, self.pull), "rng": self.rng.getstate(), "own": self.np_random_state()}

    def np_random_state(self) -> dict[str, Any]:
        return self.np_random.bit_generator.state

    def restore(self, state: dict[str, Any]) -> None:
        (at, [self.last_u]), (self.count, self.pull) = state["at"], state["numbers"]
        assert (type(at), type(self.count), type(self.pull)) == (tuple, np.int64, np.float32)
        self.state, self.np_random.bit_generator.state = np.array(at), state["own"]
        self.rng.setstate(state["rng"])  # which refuses lists


def test_tuples_and_numbers_of_numpy_come_back_as_they_were() -> None:
    assert_exact(Telling, 25)


class Sampling(Drift):
    """Starts where its space says, which it seeds at a reset; also a space of parts, and a method of a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(-1, 1, (3,))
        self.parts = gymnasium.spaces.Dict({"a": gymnasium.spaces.Box(-1, 1), "b": gymnasium.spaces.Discrete(5)})
        self.rng = random.Random(3)
        self.roll, self.bend = self.rng.random, self.rng.gauss

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
            self.parts.seed(seed)
        self.place = self.observation_space.sample()[:2].astype(float) + self.parts.sample()["a"]
        return self.seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.place = self.place + self.roll() + self.parts.sample()["b"] * self.bend()
        return super().step(action)


class SampledFrom(gymnasium.ObservationWrapper[Any, Any, Any]):
    """A user's wrapper with noise from a space of its own."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-1, 1, env.observation_space.shape, seed=7)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return observation + self.observation_space.sample()


def test_what_spaces_and_methods_of_generators_draw_goes_on_exactly() -> None:
    assert_exact(Sampling, 25)
    assert_exact(lambda: SampledFrom(Sampling()), 25)


def test_wrappers_with_state() -> None:
    assert_exact(lambda: CountingNoise(gymnasium.make("Pendulum-v1")), 25)


class CountingNoise(gymnasium.ObservationWrapper[Any, Any, Any]):
    """A user's wrapper: observations drift with a counter and noise of its own."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.count, self.rng = 0, np.random.default_rng(5)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        self.count += 1
        return observation + self.count * self.rng.normal()


def test_what_cannot_be_read_has_no_state() -> None:
    env = make(Silent, seed=0)
    env.reset()
    assert snapshot(env) is None


def test_another_environment_is_refused() -> None:
    env, other = make("Pendulum-v1", seed=0), make("MountainCarContinuous-v0", seed=0)
    env.reset()
    state = snapshot(env)
    assert state is not None
    with pytest.raises(UserError, match="resume with the same environment"):
        restore(other, state)


def test_a_state_of_another_version_is_refused() -> None:
    env = make("Hopper-v5", seed=0)
    env.reset()
    state = snapshot(env)
    assert state is not None
    buffer = list(state["layers"].values())[-1]["state"]["simulations"]["data"]["buffer"]
    buffer["no_longer_there"] = buffer["qpos"]
    with pytest.raises(UserError, match="does not fit"):
        restore(env, state)


@pytest.mark.parametrize("name", SOME)
def test_looking_changes_nothing(name: str) -> None:
    env, watched = make(name, seed=0), make(name, seed=0)
    env.reset()
    watched.reset()
    rng = np.random.default_rng(0)
    for i in range(30):
        snapshot(watched)
        if i == 15:
            np.testing.assert_array_equal(env.reset()[0], watched.reset()[0])
        action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        np.testing.assert_array_equal(env.step(action)[0], watched.step(action)[0])


@pytest.mark.parametrize("workers", ["sync", "async"])
@pytest.mark.parametrize("taken", [17, LIMIT, LIMIT + 1])  # mid-episode, waiting for the reset, just after it
def test_vectors(workers: Any, taken: int, rows: Rows) -> None:
    config = EnvConfig(time_limit=LIMIT, workers=workers)
    vec, other = vector("HalfCheetah-v5", config, 2, 1), vector("HalfCheetah-v5", config, 2, 2)
    vec.reset()
    other.reset()
    rows(vec, taken, seed=3)
    assert rows(other, LIMIT, seed=4)[-1][3] == [True, True]  # it waits for resets that the state knows nothing of
    states = snapshots(vec)
    restores(other, states)
    assert rows(vec, 60, seed=5) == rows(other, 60, seed=5)
    vec.close()
    other.close()


def test_waiting_for_the_reset_is_part_of_the_state(rows: Rows) -> None:
    vec = vector("Pendulum-v1", EnvConfig(time_limit=3), 1, 0)
    vec.reset()
    assert [row[4] for row in rows(vec, 3, seed=0)] == [[1], [1], [1]]
    fresh = vector("Pendulum-v1", EnvConfig(time_limit=3), 1, 1)
    restores(fresh, snapshots(vec))
    assert [row[4] for row in rows(fresh, 5, seed=0)] == [[0], [1], [1], [1], [0]]


@pytest.mark.parametrize("workers", ["sync", "async"])
def test_without_a_state_the_next_step_is_a_reset(workers: Any, rows: Rows) -> None:
    vec = vector(Silent, EnvConfig(workers=workers), 2, 0)
    vec.reset()
    rows(vec, 5, seed=0)
    assert snapshots(vec) == [None, None]
    restores(vec, [None, None])
    assert [row[4] for row in rows(vec, 3, seed=0)] == [[0, 0], [1, 1], [1, 1]]
    vec.close()


@dataclass(frozen=True)
class Settings:
    """What never changes."""

    pull: float = 0.0


class Configured(Drift):
    """Has settings that are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Settings()


def test_frozen_settings_are_constant() -> None:
    assert_exact(Configured, 25)


class Dice(gymnasium.Env[Any, Any]):
    """Draws from the global generators."""

    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def roll(self) -> np.ndarray:
        return np.array([np.random.random(), random.random()])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return self.roll(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.roll(), 0.0, False, False, {}


def test_global_generators_of_workers_are_seeded_apart_and_restored(rows: Rows) -> None:
    seen = []
    for _ in range(2):
        vec = vector(Dice, EnvConfig(workers="async"), 2, 0)
        observation, _ = vec.reset()
        seen.append(observation.tolist())
        states = [from_disk(state) for state in snapshots(vec) if state]
        after = rows(vec, 5, seed=0)
        restores(vec, states)
        assert rows(vec, 5, seed=0) == after
        vec.close()
    assert seen[0] == seen[1]
    assert seen[0][0][0] != seen[0][1][0]
    assert seen[0][0][1] != seen[0][1][1]
