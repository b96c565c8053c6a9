"""Pushes: how often, how strong, what they change in the simulation, and draws that go on exactly."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco import MujocoEnv

from softrl.data.envs import EnvConfig, make, vector
from softrl.data.push import STREAM, Push, Pushed, simulation
from softrl.data.snapshot import Resumable, restore, snapshot
from softrl.data.sources import build
from softrl.data.wrappers import Flat, Frames, UnitBox
from softrl.errors import UserError

STEPS = 1_500
WORLDS = ["cartpole_swingup", "InvertedPendulum-v5"]


def pushed(name: str, push: Push, seed: int = 0) -> Pushed:
    """The environment in its own units, at the start of an episode that nothing but time ends."""
    env = push.applied(build(name, STEPS, None))
    assert isinstance(env, Pushed)
    env.reset(seed=seed)
    return env


def whole(name: str, push: Push, seed: int, repeat: int = 1) -> Resumable:
    """As agents see it."""
    return Resumable(UnitBox(Flat(Frames(push.applied(build(name, 9 * repeat, None)), repeat))), seed)


def moments(env: Pushed, steps: int = STEPS) -> np.ndarray:
    """The steps before which there was a push, [steps] bool."""
    still, counts = np.zeros(env.action_space.shape or ()), [env.pushes]
    for _ in range(steps):
        env.step(still)
        counts.append(env.pushes)
    return np.diff(counts).astype(bool)


def test_nothing_is_pushed_by_default() -> None:
    env = build("cartpole_swingup", None, None)
    assert Push().applied(env) is env


@pytest.mark.parametrize("name", WORLDS)
def test_pushes_come_at_random_with_their_probability(name: str) -> None:
    """Also in pairs as often as independence says."""
    share = moments(pushed(name, Push(0.3, 0.01)))
    error = 4 / np.sqrt(STEPS)
    assert abs(share.mean() - 0.3) < error * np.sqrt(0.3 * 0.7)
    assert abs((share[1:] & share[:-1]).mean() - 0.09) < error * np.sqrt(0.09 * 0.91)


def test_every_velocity_changes_by_itself_and_by_size() -> None:
    env = pushed("cheetah_run", Push(0.5, 0.7))
    data, changes = simulation(env), []
    for _ in range(400):
        before = data.qvel.copy()
        env.push()
        changes.append(data.qvel - before)
    drawn = np.array(changes)  # [400,9]
    assert drawn.shape[1] == 9
    assert np.abs(drawn.mean(0)).max() < 4 * 0.7 / np.sqrt(400)
    assert np.abs(drawn.std(0) - 0.7).max() < 4 * 0.7 / np.sqrt(2 * 400)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(9)).max() < 5 / np.sqrt(400)


def test_a_pushed_suite_task_goes_on_as_one_whose_velocities_were_set() -> None:
    from dm_control import suite

    env = pushed("cartpole_swingup", Push(1.0, 2.0), seed=5)
    twin = suite.load("cartpole", "swingup", task_kwargs={"random": 0, "time_limit": float("inf")})
    twin.task.random.seed(5)
    twin.reset()
    draws = np.random.default_rng([5, STREAM])
    for _ in range(5):
        draws.random()
        twin.physics.data.qvel[:] += 2.0 * draws.standard_normal(2)
        twin.physics.forward()
        seen, reward, *_ = env.step(np.array([0.4]))
        moment = twin.step(np.array([0.4]))
        expected = np.concatenate([np.ravel(entry) for entry in moment.observation.values()])
        np.testing.assert_array_equal(seen, expected.astype(np.float32))
        assert reward == moment.reward


def test_a_pushed_gymnasium_task_goes_on_as_one_whose_state_was_set() -> None:
    env, twin = pushed("HalfCheetah-v5", Push(1.0, 0.5), seed=5), gymnasium.make("HalfCheetah-v5").unwrapped
    assert isinstance(twin, MujocoEnv)
    twin.reset(seed=5)
    draws = np.random.default_rng([5, STREAM])
    for _ in range(5):
        draws.random()
        twin.set_state(twin.data.qpos.copy(), twin.data.qvel + 0.5 * draws.standard_normal(9))
        seen, reward, *_ = env.step(np.full(6, 0.2, np.float32))
        expected, paid, *_ = twin.step(np.full(6, 0.2, np.float32))
        np.testing.assert_allclose(seen, expected, rtol=1e-9, atol=1e-9)
        assert reward == pytest.approx(paid)


def test_a_seed_decides_when_and_how_whatever_is_done() -> None:
    one, same, other = (pushed("cartpole_swingup", Push(0.2), seed) for seed in (1, 1, 2))
    first = moments(one, 200)
    for _ in range(200):
        same.step(np.ones(1))
    assert one.pushes == same.pushes
    assert one.random.random() == same.random.random()
    assert not np.array_equal(first, moments(other, 200))


def test_pushes_leave_the_draws_of_the_task_alone() -> None:
    """The same seed starts the same episodes, pushed or not."""
    starts = []
    for env in (pushed("cartpole_swingup", Push(0.5, 3.0), 4), build("cartpole_swingup", None, None)):
        first, _ = env.reset(seed=4)
        for _ in range(5):
            env.step(np.zeros(1))
        starts.append((first, env.reset()[0]))
    np.testing.assert_array_equal(starts[0][0], starts[1][0])
    np.testing.assert_array_equal(starts[0][1], starts[1][1])


@pytest.mark.parametrize("taken", [0, 5, 9])
@pytest.mark.parametrize("name", ["cartpole_swingup", "Hopper-v5"])
def test_exact(name: str, taken: int) -> None:
    """After a restore come the same pushes, of the same state, also across the next reset."""
    env, other = whole(name, Push(0.4, 0.5), 0, repeat=2), whole(name, Push(0.4, 0.5), 1, repeat=2)
    env.reset()
    other.reset()
    action = np.full(env.action_space.shape, 0.3, np.float32)
    for _ in range(taken):
        env.step(action)
    state = snapshot(env)
    assert state is not None
    restore(other, state)
    begun = env.get_wrapper_attr("pushes")
    assert other.get_wrapper_attr("pushes") == begun
    over = taken == 9
    for _ in range(14):
        if over:
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        (seen, *outcome, _), (told, *answer, _) = env.step(action), other.step(action)
        np.testing.assert_array_equal(seen, told)
        assert outcome == answer
        over = outcome[1] or outcome[2]
    assert env.get_wrapper_attr("pushes") == other.get_wrapper_attr("pushes") > begun


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1", "softrl/Gears-v0"])
def test_other_environments_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"env\.push\.probability is 0\.1, but \w+ is no MuJoCo simulation") as told:
        Push(0.1).applied(build(name, None, None))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("field", "value"), [("probability", -0.1), ("probability", 1.1), ("size", 0.0), ("size", -1.0)]
)
def test_fields_out_of_range(field: str, value: float) -> None:
    with pytest.raises(UserError) as refusal:
        Push(**{field: value})
    assert str(refusal.value).startswith(f"env.push.{field} is {value}: ")


# ---------------------------------------------------------------- as a field of the environment's configuration


def rewards(config: EnvConfig) -> list[float]:
    env = make("cartpole_swingup", config, seed=0)
    env.reset()
    return [float(env.step(np.zeros(1, np.float32))[1]) for _ in range(20)]


def test_the_configuration_pushes_frame_by_frame() -> None:
    env = make("cartpole_swingup", EnvConfig(push=Push(1.0, 0.1), repeat=3), seed=0)
    env.reset()
    for _ in range(4):
        env.step(np.zeros(1, np.float32))
    assert env.get_wrapper_attr("pushes") == 12
    assert rewards(EnvConfig(push=Push(0.5))) != rewards(EnvConfig())


def test_without_pushes_an_environment_has_the_layers_and_the_state_that_it_had() -> None:
    env = make("cartpole_swingup", EnvConfig(push=Push(size=5.0)), seed=0)
    assert "Pushed" not in str(env)
    assert rewards(EnvConfig(push=Push(size=5.0))) == rewards(EnvConfig())


def test_threads_of_envpool_cannot_be_pushed() -> None:
    with pytest.raises(UserError, match=r"env\.push"):
        EnvConfig(workers="envpool", push=Push(0.1))


@pytest.mark.parametrize("workers", ["sync", "async"])
def test_environments_side_by_side_have_pushes_of_their_own(workers: Any) -> None:
    vec = vector("cartpole_swingup", EnvConfig(push=Push(0.3), workers=workers), 2, seed=0)
    vec.reset()
    for _ in range(60):
        vec.step(np.zeros((2, 1), np.float32))
    counts = vec.get_attr("pushes")
    vec.close()
    assert min(counts) > 5
    assert counts[0] != counts[1]
