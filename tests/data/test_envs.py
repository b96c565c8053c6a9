"""`make` and `vector`: one face, seeds, NEXT_STEP autoreset, failures in one sentence."""

import subprocess
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import PendulumEnv

from softrl.data.envs import EnvConfig, describe, make, spec, step, vector
from softrl.data.graphics import missing
from softrl.errors import UserError


# Not imported here: worker processes import this module, and torch would take them seconds.
def described(observations: int, actions: int, choices: tuple[int, ...] = ()) -> Any:
    from softrl.types import Spec

    return Spec({"state": (observations,)}, continuous=actions, choices=choices)


SYNC, ASYNC = EnvConfig(workers="sync"), EnvConfig(workers="async")


class Clock(gymnasium.Env[Any, Any]):
    """Observes [episode, step]; rewards the step; terminates after `length` steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(0, 10, (1,))

    def __init__(self, length: int = 3) -> None:
        self.length, self.episode, self.count = length, 0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.episode, self.count = self.episode + 1, 0
        return np.array([self.episode, 0.0]), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.count += 1
        over = self.count == self.length
        return np.array([self.episode, self.count]), float(self.count), over, False, {}


@pytest.mark.parametrize("name", ["Pendulum-v1", "MountainCarContinuous-v0", "cartpole_swingup", "Hopper-v5"])
def test_one_face(name: str) -> None:
    env = make(name, seed=0)
    observation, info = env.reset()
    assert observation in env.observation_space
    assert observation.dtype == np.float32
    assert info["frames"] == 0
    assert env.action_space == gymnasium.spaces.Box(-1, 1, env.action_space.shape, np.float32)
    observation, reward, _, _, info = env.step(env.action_space.sample())
    assert observation.dtype == np.float32
    assert type(reward) is float
    assert info["frames"] == 1
    assert spec(env) == described(*observation.shape, *env.action_space.shape)


def test_the_first_reset_uses_the_seed_and_later_ones_go_on() -> None:
    env, other = make("Pendulum-v1", seed=7), make("Pendulum-v1")
    first, second = env.reset()[0], env.reset()[0]
    np.testing.assert_array_equal(other.reset(seed=7)[0], first)
    np.testing.assert_array_equal(other.reset()[0], second)
    np.testing.assert_array_equal(make("Pendulum-v1", seed=1).reset(seed=7)[0], first)
    assert not np.array_equal(first, second)


def test_the_time_limit_counts_frames() -> None:
    env = make(lambda: Clock(100), EnvConfig(repeat=4, time_limit=10))
    env.reset()
    assert [env.step(np.zeros(1))[1:] for _ in range(3)] == [
        (1 + 2 + 3 + 4, False, False, {"frames": 4}),
        (5 + 6 + 7 + 8, False, False, {"frames": 4}),
        (9 + 10, False, True, {"frames": 2}),
    ]


@pytest.mark.parametrize(("field", "value"), [("repeat", 0), ("time_limit", 0), ("time_limit", -5)])
def test_fields_out_of_range(field: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"env\.{field} is {value}"):
        EnvConfig(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="envs is 0"):
        vector(Clock, SYNC, 0, 0)


@pytest.mark.parametrize("config", [SYNC, ASYNC], ids=["sync", "async"])
def test_next_step_autoreset(config: EnvConfig) -> None:
    """The row after an episode's end is its reset: no reward, no frame, whatever the action."""
    vec = vector(Clock, config, 2, 0)
    observation, info = vec.reset()
    assert observation.tolist() == [[1, 0], [1, 0]]
    rows = []
    for _ in range(5):
        observation, reward, terminated, truncated, info = step(vec, np.ones((2, 1), np.float32))
        rows.append((observation[1].tolist(), reward[1], bool(terminated[1]), bool(truncated[1]), info["frames"][1]))
    assert rows == [
        ([1, 1], 1, False, False, 1),
        ([1, 2], 2, False, False, 1),
        ([1, 3], 3, True, False, 1),
        ([2, 0], 0, False, False, 0),  # the reset
        ([2, 1], 1, False, False, 1),
    ]
    vec.close()


def test_workers_make_no_difference_and_seeds_do() -> None:
    seen = []
    for config, seed in [(SYNC, 3), (ASYNC, 3), (SYNC, 4)]:
        vec = vector("Pendulum-v1", config, 3, seed)
        observations = [vec.reset()[0]]
        observations += [step(vec, np.full((3, 1), 0.5, np.float32))[0] for _ in range(3)]
        seen.append(np.array(observations))
        vec.close()
    np.testing.assert_array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    assert len(np.unique(seen[0][0], axis=0)) == 3  # and each environment has its own


def test_auto_means_a_process_each_for_more_than_one() -> None:
    kinds = []
    for envs in (1, 2):
        vec = vector(Clock, EnvConfig(), envs, 0)
        kinds.append(type(vec).__name__)
        assert spec(vec) == described(2, 1)
        vec.close()
    assert kinds == ["SyncVectorEnv", "Workers"]


def test_objects_and_lambdas_reach_the_workers() -> None:
    length = 2
    for source in (PendulumEnv(), lambda: Clock(length)):
        vec = vector(source, ASYNC, 2, 0)
        vec.reset()
        step(vec, np.zeros((2, 1), np.float32))
        vec.close()


def test_what_cannot_be_sent_says_to_stay_here() -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(UserError, match=r"use --env\.workers sync"):
        vector(lambda: Clock(int(lock.locked()) + 3), ASYNC, 2, 0)


def test_workers_do_without_torch() -> None:
    code = "import sys, softrl.data.envs; print('torch' in sys.modules, 'mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["False"] * 2


def test_descriptions() -> None:
    assert describe("dmc_walker_walk") == {
        "name": "walker_walk",
        "aliases": ["walker-walk", "dmc_walker_walk", "dm_control/walker-walk-v0"],
        "observation": {"orientations": [14], "height": [], "velocity": [9]},
        "action": "Box(-1.0, 1.0, (6,), float64)",
        "choices": [],
        "continuous": 6,
        "time_limit": 1000,
        "pixels": "action repeat 2 unless set",
    }
    assert describe("Pendulum-v1")["time_limit"] == 200
    assert describe("softrl/Gears-v0") == {
        "name": "softrl/Gears-v0",
        "aliases": [],
        "observation": "Box(-6.0, 6.0, (2,), float32)",
        "action": "Dict('gear': Discrete(3), 'throttle': Box(-3.0, 3.0, (2,), float32))",
        "choices": [3],
        "continuous": 2,
        "time_limit": 50,
        "pixels": "action repeat 1 unless set",
    }


@pytest.mark.skipif(missing() is not None, reason="no OpenGL here")
@pytest.mark.parametrize("name", ["cartpole_swingup", "quadruped_walk", "Hopper-v5"])
def test_pictures(name: str) -> None:
    env = make(name, seed=0, render=48)
    env.reset()
    picture = env.render()
    assert picture.shape == (48, 48, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 0
    env.close()


class Strict(Clock):
    """Takes nothing but what its space declares."""

    def __init__(self, space: Any) -> None:
        super().__init__(5)
        self.action_space = space

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        return super().step(action)


SPACES = {
    "choices": (gymnasium.spaces.MultiDiscrete([5, 3, 2]), (5, 3, 2), 0),
    "dict": (
        gymnasium.spaces.Dict(
            go=gymnasium.spaces.Box(0, 9, (2, 2), np.float64),
            where=gymnasium.spaces.Tuple([gymnasium.spaces.Discrete(3, start=1), gymnasium.spaces.MultiBinary(2)]),
        ),
        (3, 2, 2),
        4,
    ),
}


@pytest.mark.parametrize("config", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("kind", SPACES)
def test_environments_get_what_their_space_declares(kind: str, config: EnvConfig) -> None:
    space, choices, continuous = SPACES[kind]
    vec = vector(lambda: Strict(space), config, 2, 0)
    assert spec(vec) == described(2, continuous, choices)
    vec.reset()
    vec.action_space.seed(0)
    for _ in range(12):
        step(vec, vec.action_space.sample())
    vec.close()


@pytest.mark.parametrize("config", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("name", "choices", "continuous"),
    [("CartPole-v1", (2,), 0), ("Acrobot-v1", (3,), 0), ("LunarLander-v3", (4,), 0), ("softrl/Gears-v0", (3,), 2)],
)
def test_discrete_and_hybrid_tasks(name: str, choices: tuple[int, ...], continuous: int, config: EnvConfig) -> None:
    if "Lunar" in name:
        pytest.importorskip("Box2D")
    vec = vector(name, config, 2, 0)
    observation, _ = vec.reset()
    assert spec(vec) == described(observation.shape[1], continuous, choices)
    rng = np.random.default_rng(0)
    for _ in range(30):
        one_hots = [np.eye(size, dtype=np.float32)[rng.integers(size, size=2)] for size in choices]
        numbers = rng.uniform(-1, 1, (2, continuous)).astype(np.float32)
        observation, reward, *_ = step(vec, np.concatenate([*one_hots, numbers], 1))
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
    vec.close()


def test_a_choice_is_the_one_that_is_taken() -> None:
    """CartPole pushed to the right runs to the right."""
    env, own = make("CartPole-v1"), gymnasium.make("CartPole-v1")
    env.reset(seed=0)
    own.reset(seed=0)
    for flat, choice in (([0, 1], 1), ([0, 1], 1), ([1, 0], 0), ([0.3, 0.2], 0)):
        np.testing.assert_array_equal(env.step(np.array(flat, np.float32))[0], own.step(choice)[0])


def test_the_task_of_this_library_is_known_to_gymnasium() -> None:
    code = "import gymnasium, softrl.data.envs; print(gymnasium.make('softrl/Gears-v0').spec.max_episode_steps)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["50"]
