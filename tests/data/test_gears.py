"""The gears: dynamics by hand, and an optimum that simulation and brute force agree with."""

from itertools import pairwise
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from softrl import api
from softrl.data.gears import (
    FUEL,
    GROWTH,
    GUST,
    PRICE,
    START,
    STRENGTH,
    THROTTLE,
    TURN,
    WALL,
    Gears,
    best_action,
    best_return,
    crossing,
    parabolas,
)
from softrl.data.names import GEARS


def placed(x: float, y: float) -> Gears:
    env = Gears()
    env.reset(seed=0)
    env.position = np.array([x, y])
    return env


def test_it_is_a_gymnasium_environment() -> None:
    check_env(Gears(), skip_render_check=True)


def test_a_step_by_hand() -> None:
    """x' = 1.1 R (1, 0) + 0.4 (-1, 2), and the reward -(|x'|^2 + 5 / 2 + 0.1)."""
    env = placed(1.0, 0.0)
    env.np_random = np.random.default_rng(0)  # whose first number is 0.64: no gust
    observation, reward, *ended, _ = env.step({"gear": np.int64(1), "throttle": np.array([-1.0, 2.0], np.float32)})
    expected = 1.1 * np.array([np.cos(0.3), np.sin(0.3)]) + 0.4 * np.array([-1, 2])
    np.testing.assert_allclose(observation, expected, rtol=1e-6)
    assert reward == pytest.approx(-(expected @ expected + 2.5 + 0.1))
    assert ended == [False, False]


def test_coasting_pays_for_throttle_and_is_not_moved_by_it() -> None:
    one, other = placed(0.5, -0.5), placed(0.5, -0.5)
    still, pushed = np.zeros(2, np.float32), np.full(2, 2.0, np.float32)
    (x, r, *_), (y, s, *_) = one.step({"gear": 0, "throttle": still}), other.step({"gear": 0, "throttle": pushed})
    np.testing.assert_array_equal(x, y)
    assert r - s == pytest.approx(FUEL * 8)


def test_the_world_has_a_wall() -> None:
    env = placed(5.9, 0.0)
    env.np_random = np.random.default_rng(0)
    observation = env.step({"gear": 2, "throttle": np.array([3.0, 0.0], np.float32)})[0]
    assert np.hypot(*observation) == pytest.approx(WALL)
    assert observation in env.observation_space


def test_gusts_throw_anywhere_into_the_disc() -> None:
    """With probability 0.1, and |x|^2 uniform in [0, 9]."""
    env, thrown = placed(0.0, 0.0), []
    for _ in range(20_000):
        env.position = np.zeros(2)
        env.step({"gear": 0, "throttle": np.zeros(2)})
        thrown += [env.position] if env.position.any() else []
    assert len(thrown) / 20_000 == pytest.approx(GUST, abs=0.01)
    square = np.square(thrown).sum(1)
    assert np.quantile(square, [0.25, 0.5, 0.75]) == pytest.approx([2.25, 4.5, 6.75], abs=0.4)
    assert square.max() <= START**2
    assert np.abs(np.mean(thrown, 0)).max() < 0.15


def brute_force(steps: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """|x| on a grid and V_steps there, trying every gear with throttles within bounds along R x, against the wall."""
    radius = np.linspace(0, WALL, 601)
    value, start = np.zeros_like(radius), np.sqrt((np.arange(2000) + 0.5) / 2000) * START
    for _ in range(steps):
        mean, best = np.interp(start, radius, value).mean(), np.full_like(radius, np.inf)
        for strength, price in zip(STRENGTH, PRICE, strict=True):
            throttle = np.linspace(-THROTTLE, THROTTLE, 601)[:, None]
            after = np.minimum(abs(GROWTH * radius + strength * throttle), WALL)
            later = gamma * ((1 - GUST) * np.interp(after, radius, value) + GUST * mean)
            best = np.minimum(best, (after**2 + FUEL * throttle**2 + price + later).min(0))
        value = best
    return radius, value


@pytest.mark.parametrize(("steps", "gamma"), [(1, 1.0), (3, 1.0), (15, 0.9)])
def test_the_optimum_is_that_of_brute_force(steps: int, gamma: float) -> None:
    """Neither the bounds of the throttle nor the wall change it within the disc."""
    radius, value = brute_force(steps, gamma)
    for r, v in zip(radius[:301:10], value[:301:10], strict=True):
        best = -best_action(np.array([0.0, r]), steps, gamma)[1]
        assert best == pytest.approx(v, abs=2e-3 * steps)
    share = (np.arange(2000) + 0.5) / 2000
    mean = np.interp(np.sqrt(share) * START, radius, value).mean()
    assert -best_return(steps, gamma) == pytest.approx(mean, abs=2e-3 * steps)


def test_simulation_earns_the_best_return() -> None:
    env, returns, promised = Gears(), [], []
    for episode in range(150):
        env.reset(seed=episode)
        promised.append(best_action(env.position)[1])
        total = 0.0
        for left in range(50, 0, -1):
            action, _ = best_action(env.position, left)
            assert env.action_space.contains(action)
            total += env.step(action)[1]
        returns.append(total)
    error = np.std(returns) / np.sqrt(len(returns))
    assert abs(np.mean(returns) - np.mean(promised)) < 3 * error
    assert abs(np.mean(returns) - best_return()) < 3 * error


def test_the_numbers_of_the_docstring() -> None:
    assert best_return() == pytest.approx(-16.39, abs=0.005)
    plan = parabolas(50)
    changes = {(one.gear, other.gear): crossing(one, other) ** 0.5 for one, other in pairwise(plan)}
    assert changes[0, 1] == pytest.approx(0.080, abs=5e-4)
    assert changes[1, 2] == pytest.approx(0.714, abs=5e-4)
    gears = [parabola.gear for parabola in plan]
    assert gears == sorted(gears)
    throttles = [
        np.hypot(*best_action(np.array([r, 0.0]), left)[0]["throttle"])
        for left in range(1, 51)
        for r in np.linspace(0, START, 61)
    ]
    assert 2.4 < max(throttles) < 2.5


def test_every_gear_is_needed() -> None:
    """The best policy of a single gear, and random actions, earn less."""
    plan = parabolas(50)
    assert {parabola.gear for parabola in plan} == {0, 1, 2}
    env, rng, means = Gears(), np.random.default_rng(0), []
    for gear in range(3):
        q = 1.0
        for _ in range(100):
            q = 1 + (1 - GUST) * GROWTH**2 * FUEL * q / (FUEL + STRENGTH[gear] ** 2 * q)
        gain = GROWTH * STRENGTH[gear] * q / (FUEL + STRENGTH[gear] ** 2 * q)
        turn = np.array([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]])
        means.append(np.mean([total(env, lambda x, g=gear, k=gain, r=turn: (g, -k * r @ x)) for _ in range(60)]))
    means.append(np.mean([total(env, lambda x: (rng.integers(3), rng.uniform(-3, 3, 2))) for _ in range(60)]))
    assert max(means) < 2 * best_return()


def total(env: Gears, policy: object) -> float:
    env.reset()
    paid = 0.0
    for _ in range(50):
        gear, throttle = policy(env.position)  # type: ignore[operator]
        paid += env.step({"gear": gear, "throttle": np.clip(throttle, -THROTTLE, THROTTLE)})[1]
    return paid


def test_pictures() -> None:
    env = gymnasium.make("softrl/Gears-v0", render_mode="rgb_array", width=64, height=48)
    env.reset(seed=0)
    picture = env.render()
    assert (picture.shape, picture.dtype) == ((48, 64, 3), np.uint8)  # type: ignore[union-attr]
    env.unwrapped.position, env.unwrapped.gear = np.array([3.0, 3.0]), 2  # type: ignore[attr-defined]
    picture = env.render()
    assert picture[12, 48].tolist() == [200, 60, 30]  # type: ignore[index, call-overload]


@pytest.mark.slow
def test_agents_earn_what_no_single_gear_can(tmp_path: Path) -> None:
    """Recipe sac becomes hybrid; without changing gears twice the cost of the optimum is out of reach, see above."""
    small = {f"agent.{part}.trunk.hidden": (128, 128) for part in ("actor", "critic")}
    quick = {f"agent.optim.{part}.learning_rate": 1e-3 for part in ("value", "actor")} | {"train.warmup": 1_000}
    eager = {"agent.temperature.initial": 0.1, "agent.temperature.target_share": 0.05}
    rare = {"eval.every": 8_000, "log.diagnostics": None, "video.every": "never", "threads": 1, "compile": "off"}
    result = api.train(GEARS, steps=8_000, seed=1, run=tmp_path / "run", **small, **quick, **eager, **rare)
    assert np.mean(api.evaluate(result.path, episodes=100)) > 2 * best_return()
