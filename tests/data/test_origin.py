"""What runs are called, and which names tell how to make their environment again."""

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.wrappers import RescaleAction, TimeLimit

from softrl.data.origin import name_of, source_of
from softrl.errors import UserError


class Slippery(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper that a spec cannot describe."""


def pushed() -> Any:
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.force_mag = 5.0  # type: ignore[attr-defined]
    return env


def slowed() -> Any:
    """By a number whose default is an attribute of the class."""
    env = gymnasium.make("Acrobot-v1")
    env.unwrapped.dt = 0.05  # type: ignore[attr-defined]
    return env


def balanced() -> Any:
    """By a list that is an attribute of the class."""
    env = gymnasium.make("Acrobot-v1")
    env.unwrapped.AVAIL_TORQUE = [-0.5, 0.0, 0.5]  # type: ignore[attr-defined]
    return env


def windy() -> Any:
    """By an array that only this object has."""
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.wind = np.ones(2)  # type: ignore[attr-defined]
    return env


def flown() -> Any:
    """One that has taken steps, which give it an attribute that a new one lacks."""
    env = gymnasium.make("Pendulum-v1")
    env.reset(seed=7)
    for _ in range(2):
        env.step(env.action_space.sample())
    assert hasattr(env.unwrapped, "last_u")
    return env


def used() -> Any:
    """One whose counters and state are not those of a fresh one."""
    env = gymnasium.make("CartPole-v1")
    env.reset(seed=7)
    env.step(1)
    return env


def walker_walk() -> Any:
    return PendulumEnv()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("dm_control/cheetah-run-v0", "cheetah_run"),
        (lambda: gymnasium.make("Pendulum-v1"), "Pendulum-v1"),
        (lambda: gymnasium.make("Pendulum-v1", render_mode="rgb_array"), "Pendulum-v1"),
        (lambda: gymnasium.make("Pendulum-v1", g=10.0), "Pendulum-v1+own"),
        (lambda: gymnasium.make("Pendulum-v1", max_episode_steps=50), "Pendulum-v1+own"),
        (lambda: TimeLimit(gymnasium.make("Pendulum-v1"), 50), "Pendulum-v1+own"),
        (lambda: RescaleAction(gymnasium.make("Pendulum-v1"), -1, 1), "Pendulum-v1+own"),
        (lambda: Slippery(gymnasium.make("Hopper-v5")), "Hopper-v5+own"),
        (lambda: gymnasium.make("Hopper-v5"), "Hopper-v5"),
        (pushed, "CartPole-v1+own"),
        (slowed, "Acrobot-v1+own"),
        (balanced, "Acrobot-v1+own"),
        (windy, "Pendulum-v1+own"),
        (flown, "Pendulum-v1"),
        (used, "CartPole-v1"),
        (CartPoleEnv, "CartPoleEnv"),
        (partial(partial, PendulumEnv, g=5.0), "PendulumEnv"),
    ],
)
def test_the_name_of_an_object_says_whether_it_tells_everything(source: Any, name: str) -> None:
    assert name_of(source if isinstance(source, str) else source()) == name


def test_a_factory_is_not_taken_for_the_task_whose_name_it_has() -> None:
    assert name_of(PendulumEnv) == "PendulumEnv"
    assert name_of(walker_walk) == "walker_walk+own"


def test_names_that_do_not_tell_ask_for_the_environment() -> None:
    for name in ("cheetah_run", "Pendulum-v1", "arena:Arena-v0"):
        assert source_of(None, name) == name
    assert source_of(PendulumEnv, "Pendulum-v1+own") is PendulumEnv
    assert source_of(None, PendulumEnv) is PendulumEnv
    for name in ("Pendulum-v1+own", "arenas/Arena-v0+own", "PendulumEnv"):
        with pytest.raises(UserError, match=r"an environment of your own, .* give it again from Python"):
            source_of(None, name)
