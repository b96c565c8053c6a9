"""EnvPool's vector has the face of the others, held to the in-process vector row by row.

Most of it runs on `FakePool`, which keeps to what EnvPool documents; where the package is installed, on the package.
"""

import os
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from softrl.data import envs, snapshot
from softrl.data.envpool import NEVER, SEEDS
from softrl.data.envs import EnvConfig, begin, spec, step, vector, worker
from softrl.data.partial import Partial
from softrl.data.pixels import Pixels
from softrl.errors import UserError

TASKS = ["Pendulum-v1", "CartPole-v1", "MountainCarContinuous-v0", "Counted-v0"]


class Counted(gymnasium.Env[Any, Any]):
    """Whole numbers are added up, and none is cut off on its way."""

    observation_space, action_space = Box(-np.inf, np.inf, (2,)), Box(-3, 3, (2,), np.int64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.total = np.zeros(2, np.float32)
        return self.total, {}

    def step(self, action: np.ndarray) -> Any:
        assert action in self.action_space
        self.total = self.total + action
        return self.total.astype(np.float32), 0.0, bool(abs(self.total).max() > 20), False, {}


class FakePool:
    """N environments by number: `send` to some of them, `recv` their rows, newest first; it resets ended ones itself.

    Like EnvPool it seeds environment i with seed + i when made, answers float32 rewards and float64 observations, and
    calls an end in the frame of its own time limit a truncation.
    """

    def __init__(self, task: str, num_envs: int, seed: int, max_episode_steps: int) -> None:
        self.envs = [gymnasium.make(task).unwrapped for _ in range(num_envs)]
        self.seeds: list[int | None] = [seed + i for i in range(num_envs)]
        self.limit, self.elapsed, self.done = max_episode_steps, [0] * num_envs, [True] * num_envs
        self.observation_space, self.action_space = self.envs[0].observation_space, self.envs[0].action_space
        self.sent: list[tuple[int, Any]] = []
        self.resets, self.closed = 0, False

    def begun(self, i: int) -> np.ndarray:
        seed, self.seeds[i] = self.seeds[i], None
        self.elapsed[i], self.done[i], self.resets = 0, False, self.resets + 1
        return np.asarray(self.envs[i].reset(seed=seed)[0], np.float64)

    def reset(self, env_id: np.ndarray) -> Any:
        assert env_id.dtype == np.int32
        assert not self.sent
        return np.stack([self.begun(i) for i in env_id[::-1]]), {"env_id": env_id[::-1]}

    def send(self, action: np.ndarray, env_id: np.ndarray) -> None:
        assert env_id.dtype == np.int32
        assert len(action) == len(env_id)
        assert not self.sent
        self.sent = list(zip(env_id.tolist(), action, strict=True))

    def row(self, i: int, action: Any) -> Any:
        if self.done[i]:
            return self.begun(i), 0.0, False, False
        observation, reward, ended, _, _ = self.envs[i].step(action)
        self.elapsed[i] += 1
        cut = self.elapsed[i] >= self.limit
        self.done[i] = ended or cut
        return np.asarray(observation, np.float64), reward, ended and not cut, cut

    def recv(self) -> Any:
        assert self.sent
        order, self.sent = self.sent[::-1], []
        observation, reward, terminated, truncated = zip(*[self.row(i, action) for i, action in order], strict=True)
        info = {"env_id": np.array([i for i, _ in order], np.int32)}
        return np.stack(observation), np.array(reward, np.float32), np.array(terminated), np.array(truncated), info

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """EnvPool as a module that `import envpool` finds."""
    module: Any = ModuleType("envpool")
    module.list_all_envs = lambda: [*TASKS, "Walker2d-v5", "Acrobot-v1"]
    module.make_gymnasium = FakePool
    monkeypatch.setitem(sys.modules, "envpool", module)
    monkeypatch.setitem(gymnasium.registry, "Counted-v0", EnvSpec("Counted-v0", entry_point=Counted))
    return module


def reference(name: str, config: EnvConfig, count: int, seed: int) -> Any:
    """The in-process vector with the seeds that EnvPool gives its environments."""
    start = int(np.random.SeedSequence(seed).generate_state(1)[0]) % SEEDS
    factories = [partial(worker, name, config, start + i, os.getpid()) for i in range(count)]
    return SyncVectorEnv(factories, autoreset_mode=AutoresetMode.NEXT_STEP)


def pooled(name: str, count: int = 3, seed: int = 0, **options: Any) -> Any:
    return vector(name, EnvConfig(workers="envpool", **options), count, seed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Pendulum-v1", {"time_limit": 7}),
        ("Pendulum-v1", {"time_limit": 7, "repeat": 3}),
        ("CartPole-v1", {}),
        ("CartPole-v1", {"repeat": 4, "time_limit": 30}),
        ("MountainCarContinuous-v0", {"repeat": 2}),
        ("Counted-v0", {"time_limit": 30}),
    ],
)
def test_rows_are_those_of_the_in_process_vector(fake: ModuleType, name: str, options: dict[str, Any]) -> None:
    mine, other = pooled(name, seed=5, **options), reference(name, EnvConfig(**options), 3, 5)
    assert spec(mine) == spec(other)
    assert mine.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    (found, info), (expected, other_info) = mine.reset(), other.reset()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(info["frames"], other_info["frames"])
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(120):
        actions = rng.uniform(-1, 1, mine.action_space.shape).astype(np.float32)
        row, wanted = step(mine, actions), step(other, actions)
        assert row[0].dtype == np.float32
        np.testing.assert_array_equal(row[0], wanted[0])
        np.testing.assert_allclose(row[1], wanted[1], rtol=1e-6, atol=1e-6)  # rewards come as float32
        for mark, known in zip(row[2:4], wanted[2:4], strict=True):
            np.testing.assert_array_equal(mark, known)
        np.testing.assert_array_equal(row[4]["frames"], wanted[4]["frames"])
        ends += int((row[2] | row[3]).sum())
    assert ends > 3 or name.startswith("Mountain")
    mine.close()


def test_an_end_in_the_frame_of_the_limit_is_both(fake: ModuleType) -> None:
    """EnvPool alone would call it a truncation, and a fallen pole would be given a future."""
    push = np.tile(np.array([0.0, 1.0], np.float32), (1, 1))
    vec = pooled("CartPole-v1", 1)
    vec.reset()
    falls = next(i for i in range(1, 50) if step(vec, push)[2][0])
    assert vec.pool.limit == NEVER
    vec = pooled("CartPole-v1", 1, time_limit=falls)
    vec.reset()
    rows = [step(vec, push) for _ in range(falls + 1)]
    assert [(bool(row[2][0]), bool(row[3][0])) for row in rows[-3:]] == [(False, False), (True, True), (False, False)]
    assert rows[-1][4]["frames"][0] == 0
    assert vec.pool.resets == 2  # each once


def test_threads_step_between_the_halves(fake: ModuleType) -> None:
    """The second half finds what was sent in the first, and no row is that of another step."""
    vec = pooled("Pendulum-v1", 2)
    before, _ = vec.reset()
    kept = before.copy()
    outcome = begin(vec, np.zeros((2, 1), np.float32))
    assert [i for i, _ in vec.pool.sent] == [0, 1]
    after = outcome()[0]
    np.testing.assert_array_equal(before, kept)
    assert not np.array_equal(after, kept)


def test_actions_reach_the_bounds(fake: ModuleType) -> None:
    vec = pooled("Pendulum-v1", 4)
    vec.reset()
    begin(vec, np.array([[-1], [0], [0.25], [2]], np.float32))
    assert [action.tolist() for _, action in vec.pool.sent] == [[-2], [0], [0.5], [2]]


def test_seeds_decide(fake: ModuleType) -> None:
    first, again, other = (pooled("Pendulum-v1", 3, seed).reset()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(np.unique(first, axis=0)) == 3
    again = pooled("Pendulum-v1", 3, 1)
    before = again.pool
    np.testing.assert_array_equal(again.reset(seed=2)[0], other)
    assert before.closed  # for EnvPool only takes a seed when it is made
    with pytest.raises(UserError, match="takes one seed for all"):
        again.reset(seed=[1, 2, 3])


def test_episodes_after_a_cut_are_those_of_the_seed(fake: ModuleType) -> None:
    found = []
    for seed in (1, 1, 2):
        vec = pooled("Pendulum-v1", 2)
        snapshot.restores(vec, [None, None], seed)
        found.append(step(vec, np.zeros((2, 1), np.float32))[0].tolist())
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_without_a_state_every_episode_begins_anew(fake: ModuleType) -> None:
    vec = pooled("Pendulum-v1", 2)
    vec.reset()
    for _ in range(3):
        step(vec, np.zeros((2, 1), np.float32))
    assert snapshot.snapshots(vec) == [None, None]
    again = pooled("Pendulum-v1", 2)
    snapshot.restores(again, [None, None])
    _, reward, terminated, truncated, info = step(again, np.ones((2, 1), np.float32))
    assert not np.stack([reward, terminated, truncated, info["frames"]]).any()
    assert step(again, np.ones((2, 1), np.float32))[4]["frames"].tolist() == [1, 1]
    with pytest.raises(UserError, match="EnvPool cannot take"):
        snapshot.restores(again, [{"layers": {}}, None])


def test_a_run_is_resumed_with_new_episodes_and_says_so(fake: ModuleType, tmp_path: Path) -> None:
    from softrl import api

    options: dict[str, Any] = {
        "env.workers": "envpool",
        "envs": 2,
        "steps": 60,
        "train.warmup": 20,
        "train.updates_per_decision": 0.1,
        "env.time_limit": 25,
        "eval.episodes": 1,
        "eval.every": 60,
        "video.every": "never",
        "threads": 1,
    }
    run = tmp_path / "run"
    assert api.train("Pendulum-v1", "sac+tiny", run=run, **options).finished
    assert api.resume(run, steps=100).finished
    told = "the environment cannot give its state: its episode was cut, and a new one begins"
    assert told in (run / "log.txt").read_text()


def test_what_cannot_be_is_said(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for options in ({"pixels": Pixels()}, {"partial": Partial(noise=0.1)}):
        with pytest.raises(UserError, match=r"env\.pixels, env\.partial and env\.push"):
            EnvConfig(workers="envpool", **options)
    with pytest.raises(UserError, match="give the name of a task"):
        vector(lambda: gymnasium.make("Pendulum-v1"), EnvConfig(workers="envpool"), 1, 0)
    with pytest.raises(UserError, match=r"EnvPool has no task 'Hopper-v5': use --env\.workers async"):
        pooled("Hopper-v5")
    with pytest.raises(UserError, match="EnvPool has no task 'cheetah_run'"):
        pooled("cheetah_run")
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(UserError, match=r"pip install 'softrl\[envpool\]', or use --env\.workers async"):
        pooled("Pendulum-v1")


@pytest.mark.parametrize(
    "space",
    [{"observation_space": Box(-1, 1, (4,))}, {"action_space": Box(-1, 1, (1,))}, {"action_space": Box(-2, 2, (2,))}],
)
def test_a_task_that_differs_is_refused(fake: Any, monkeypatch: pytest.MonkeyPatch, space: dict[str, Any]) -> None:
    """An evaluation in Gymnasium's would judge something else."""

    def other(*args: Any, **options: Any) -> FakePool:
        pool = FakePool(*args, **options)
        vars(pool).update(space)
        return pool

    monkeypatch.setattr(fake, "make_gymnasium", other)
    with pytest.raises(UserError, match="other than Gymnasium's"):
        pooled("Pendulum-v1")


def test_closing_ends_the_pool(fake: ModuleType) -> None:
    vec = pooled("Pendulum-v1")
    pool = vec.pool
    vec.close()
    vec.close()
    assert pool.closed


def placed(name: str, env: Any, observation: np.ndarray) -> None:
    """Put Gymnasium's environment where EnvPool's is, as far as can be seen."""
    inner = env.unwrapped
    if name == "Pendulum-v1":
        inner.state = np.array([np.arctan2(observation[1], observation[0]), observation[2]])
    elif name == "CartPole-v1":
        inner.state, inner.steps_beyond_terminated = tuple(observation), None
    else:
        positions = len(inner.data.qpos) - 1  # the way forward is not observed
        inner.set_state(np.concatenate([[0.0], observation[:positions]]), observation[positions:])


@pytest.mark.parametrize(
    ("name", "options", "decisions"),
    [
        ("Pendulum-v1", {}, 200),
        ("CartPole-v1", {"repeat": 3}, None),
        ("HalfCheetah-v5", {"repeat": 3, "time_limit": 21}, 7),
        ("Hopper-v5", {}, None),
    ],
)
def test_the_package_steps_as_gymnasium_does(name: str, options: dict[str, Any], decisions: int | None) -> None:
    """From where it is seen to be, with a physics of its own that is not the same to the last bit."""
    pytest.importorskip("envpool")
    vec, own = pooled(name, 4, **options), envs.make(name, EnvConfig(**options), seed=0)
    seen, _ = vec.reset()
    over, made = np.zeros(4, bool), np.zeros(4, int)
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(60):
        actions = rng.uniform(-1, 1, vec.action_space.shape).astype(np.float32)
        after, reward, terminated, truncated, info = step(vec, actions)
        made = np.where(over, 0, made + 1)
        for i in np.flatnonzero(~over):
            own.reset()
            placed(name, own, seen[i])
            wanted, earned, ended, _, told = own.step(actions[i])
            np.testing.assert_allclose(after[i], wanted, rtol=1e-2, atol=2e-2)
            np.testing.assert_allclose(reward[i], earned, rtol=1e-2, atol=2e-2)
            assert (terminated[i], info["frames"][i]) == (ended, told["frames"])
        assert not np.stack([reward, terminated, truncated, info["frames"]])[:, over].any()
        np.testing.assert_array_equal(truncated, made == decisions)
        over = (terminated | truncated) & ~over
        ends += int(over.sum())
        seen = after
    assert ends > 3 or name == "Pendulum-v1"
    vec.close()
