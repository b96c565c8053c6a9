"""DeepMind Control tasks: flat observations in the suite's order, the suite's rewards, its ends."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from softrl.data.control import TIME_LIMIT, Control
from softrl.data.envs import make
from softrl.data.names import TASKS


def loaded(domain: str, task: str, seed: int = 0) -> Any:
    from dm_control import suite

    return suite.load(domain, task, task_kwargs={"random": seed})


def test_the_episode_is_the_suite_s() -> None:
    env, raw = Control("walker", "walk"), loaded("walker", "walk", seed=5)
    observation, _ = env.reset(seed=5)
    moment = raw.reset()
    rng = np.random.default_rng(0)
    for _ in range(20):
        # walker has a 0-d entry, the torso's height, between two vectors
        by_hand = np.concatenate(
            [moment.observation[key].reshape(-1) for key in ("orientations", "height", "velocity")]
        )
        assert observation.dtype == np.float32
        np.testing.assert_array_equal(observation, by_hand.astype(np.float32))
        action = rng.uniform(-1, 1, 6)
        observation, reward, terminated, truncated, _ = env.step(action)
        moment = raw.step(action)
        assert (reward, terminated, truncated) == (moment.reward, False, False)


def test_gymnasium_s_checks_pass() -> None:
    check_env(Control("walker", "walk"), skip_render_check=True)


def test_the_layout_is_told() -> None:
    assert Control("walker", "walk").layout == {"orientations": (14,), "height": (), "velocity": (9,)}


def test_a_seed_decides_the_episode() -> None:
    env, other = Control("reacher", "easy"), Control("reacher", "easy")
    first, second = env.reset(seed=1)[0], env.reset()[0]
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(other.reset(seed=1)[0], first)
    np.testing.assert_array_equal(other.reset()[0], second)
    assert not np.array_equal(other.reset(seed=2**40)[0], first)


def test_the_time_limit_truncates() -> None:
    env = make("cartpole_balance", seed=0)
    env.reset()
    ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(TIME_LIMIT)]
    assert ends == [(False, False)] * (TIME_LIMIT - 1) + [(False, True)]


def test_discount_zero_terminates() -> None:
    env = Control("lqr", "lqr_2_1")
    env.reset(seed=0)
    with env.control.physics.reset_context():
        env.control.physics.data.qpos[:] = 0.0
    assert env.step(np.zeros(1))[2:4] == (True, False)


def test_unlimited_actuators_are_given_bounds() -> None:
    space = Control("lqr", "lqr_6_2").action_space
    assert (space.low.tolist(), space.high.tolist()) == ([-1, -1], [1, 1])
    assert Control("quadruped", "walk").action_space.high.max() == pytest.approx(1.1)  # the suite's own stay


def test_loading_twice_gives_the_same_physics() -> None:
    first, second = (Control("lqr", "lqr_6_2").control.physics.model.dof_damping for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_the_suite_s_limit(name: str) -> None:
    limit = loaded(*TASKS[name])._step_limit
    assert limit == (float("inf") if name.startswith("lqr") else TIME_LIMIT)
    env = make(name, seed=0)
    observation, _ = env.reset()
    assert observation.shape == env.observation_space.shape
    assert np.isfinite(observation).all()
