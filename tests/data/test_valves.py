"""The valves: dynamics by hand, an optimum that brute force and simulation agree with, and agents that reach it."""

from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from softrl import api
from softrl.data.envs import make
from softrl.data.names import MANY_VALVES, VALVES
from softrl.data.snapshot import restore, snapshot
from softrl.data.valves import (
    COST,
    FEW,
    LEVELS,
    MANY,
    MARK,
    MOVES,
    PRICE,
    RAIN,
    Valves,
    best_action,
    best_return,
    plan,
    rained,
)


def filled(level: int, weather: int, flows: tuple[int, ...] = FEW) -> Valves:
    env = Valves(flows)
    env.reset(seed=0)
    env.level, env.weather = level, weather
    return env


@pytest.mark.parametrize("flows", [FEW, MANY])
def test_it_is_a_gymnasium_environment(flows: tuple[int, ...]) -> None:
    check_env(Valves(flows), skip_render_check=True)


def test_a_step_by_hand() -> None:
    """30 - (1 * 2 + 2 * 1 + 4 * 0) = 26, and the reward -(((26 + rain - 20) / 20)^2 + 0.03 + 0.01)."""
    env, fallen = filled(30, 0), set()
    for _ in range(60):
        env.level, env.weather = 30, 0
        observation, reward, *ended, _ = env.step(np.array([2, 1, 0]))
        rain = env.level - 26
        fallen.add(rain)
        assert reward == pytest.approx(-(((6 + rain) / 20) ** 2 + 0.04))
        np.testing.assert_allclose(observation, [(6 + rain) / 20, *np.eye(3)[env.weather]], rtol=1e-6)
        assert ended == [False, False]
    assert fallen == {0, 1, 2}


@pytest.mark.parametrize(("level", "weather", "after"), [(3, 0, {0, 1, 2}), (40, 2, {36, 37, 38, 39, 40})])
def test_the_reservoir_has_a_bottom_and_a_brim(level: int, weather: int, after: set[int]) -> None:
    env, found = filled(level, weather), set()
    for _ in range(200):
        env.level, env.weather = level, weather
        env.step(np.array([2, 2, 2]))
        found.add(env.level)
    assert found == after


def test_weather_changes_as_the_matrix_says() -> None:
    env, counts = filled(20, 0), np.zeros((3, 3))
    for _ in range(6_000):
        before = env.weather
        env.step(np.zeros(3, np.int64))
        counts[before, env.weather] += 1
    np.testing.assert_allclose(counts / counts.sum(1, keepdims=True), MOVES, atol=0.05)
    np.testing.assert_allclose(MOVES.sum(1), 1)


@cache
def brute_force(level: int, weather: int, steps: int, flows: tuple[int, ...], gamma: float) -> float:
    """The least mean cost by trying every joint action, every rain and every weather."""
    if steps == 0:
        return 0.0
    least, most = RAIN[weather]
    costs = []
    for opening in product(range(3), repeat=len(flows)):
        cost = sum((0.0, 0.01, 0.03)[p] for p in opening)
        for rain in range(least, most + 1):
            after = min(max(level - sum(f * p for f, p in zip(flows, opening, strict=True)), 0) + rain, 40)
            later = sum(MOVES[weather, w] * brute_force(after, w, steps - 1, flows, gamma) for w in range(3))
            cost += (((after - 20) / 20) ** 2 + gamma * later) / (most - least + 1)
        costs.append(cost)
    return min(costs)


@pytest.mark.parametrize(("flows", "steps"), [((1, 2), 3), (FEW, 2)])
def test_the_optimum_is_that_of_brute_force(flows: tuple[int, ...], steps: int) -> None:
    for level, weather in product(range(0, LEVELS, 8), range(3)):
        assert -best_action(level, weather, steps, flows, 0.9)[1] == pytest.approx(
            brute_force(level, weather, steps, flows, 0.9)
        )


def test_the_mean_over_starts() -> None:
    starts = [-best_action(level, weather, 7)[1] for level in range(MARK, LEVELS) for weather in range(3)]
    assert -best_return(7) == pytest.approx(np.mean(starts))


def total(env: Valves, policy: Any, seed: int) -> float:
    env.reset(seed=seed)
    return sum(env.step(policy(env.level, env.weather, left))[1] for left in range(50, 0, -1))


@pytest.mark.parametrize("flows", [FEW, MANY])
def test_simulation_earns_the_best_return_and_chance_far_less(flows: tuple[int, ...]) -> None:
    env, rng = Valves(flows), np.random.default_rng(0)
    best = [total(env, lambda *now: best_action(*now, flows)[0], seed) for seed in range(150)]
    chance = [total(env, lambda *_: rng.integers(3, size=len(flows)), seed) for seed in range(50)]
    assert abs(np.mean(best) - best_return(50, flows)) < 3 * np.std(best) / np.sqrt(150)
    assert np.mean(chance) < 8 * best_return(50, flows)


def test_a_storm_must_be_prepared_for() -> None:
    """The policy that looks one step ahead earns less on the same seeds."""
    env = Valves()
    lost = [
        total(env, lambda level, weather, _: best_action(level, weather, 1)[0], seed)
        - total(env, lambda *now: best_action(*now)[0], seed)
        for seed in range(100)
    ]
    assert np.mean(lost) < -3 * np.std(lost) / np.sqrt(100)


def test_a_greater_choice_of_valves_is_never_worse() -> None:
    """(1, 1, 1, 2, 2, 3, 4) can do whatever (1, 2, 4) can."""
    assert (plan(50, MANY).value <= plan(50, FEW).value + 1e-9).all()


def test_the_numbers_of_the_docstring() -> None:
    assert best_return() == pytest.approx(-3.33, abs=0.005)
    assert best_return(50, MANY) == pytest.approx(-1.52, abs=0.005)
    assert COST[MARK] == 0
    assert (len(PRICE), sum(FEW), sum(MANY)) == (3, 7, 14)
    assert by_chance(FEW) == pytest.approx(-33.2, abs=0.05)
    assert by_chance(MANY) == pytest.approx(-36.2, abs=0.05)


def by_chance(flows: tuple[int, ...]) -> float:
    """The mean return of random openings over 50 steps and all starts."""
    opening = np.array(list(product(range(3), repeat=len(flows))))
    amount, price, value = opening @ np.array(flows), PRICE[opening].sum(1).mean(), np.zeros((LEVELS, len(RAIN)))
    for _ in range(50):
        later = COST[:, None] + value @ MOVES.T
        kept = np.stack([rained(later[:, w], *RAIN[w]) for w in range(len(RAIN))], 1)
        value = price + kept[np.maximum(np.arange(LEVELS) - amount[:, None], 0)].mean(0)
    return -float(value[MARK:].mean())


def test_gymnasium_makes_both() -> None:
    few, many = gymnasium.make(VALVES), gymnasium.make(MANY_VALVES)
    assert few.action_space == gymnasium.spaces.MultiDiscrete([3] * 3)
    assert many.action_space == gymnasium.spaces.MultiDiscrete([3] * 7)
    assert few.spec is not None
    assert few.spec.max_episode_steps == 50


@pytest.mark.parametrize("taken", [0, 20, 50])
def test_its_state_is_exact(taken: int) -> None:
    env, other = make(MANY_VALVES, seed=0), make(MANY_VALVES, seed=1)
    rng = np.random.default_rng(0)
    env.reset()
    for _ in range(taken):
        env.step(rng.random(21, np.float32))
    state = snapshot(env)
    assert state is not None
    restore(other, state)
    for i in range(60):
        if i == 50 - taken:
            np.testing.assert_array_equal(env.reset()[0], other.reset()[0])
        action = rng.random(21, np.float32)
        (seen, *outcome, _), (told, *answer, _) = env.step(action), other.step(action)
        np.testing.assert_array_equal(seen, told)
        assert outcome == answer


@pytest.mark.slow
@pytest.mark.parametrize(("name", "flows"), [(VALVES, FEW), (MANY_VALVES, MANY)], ids=["enumerated", "factored"])
def test_agents_reach_nine_tenths_of_the_optimum(name: str, flows: tuple[int, ...], tmp_path: Path) -> None:
    """Between random openings, 0, and the best policy, 1; recipe sac takes the kind of actor from the space."""
    small = {f"agent.{part}.trunk.hidden": (64, 64) for part in ("actor", "critic")} | {
        "train.warmup": 1_000,
        "train.batch": 128,
    }
    eager = {"train.gamma": 0.9, "agent.temperature.initial": 0.1, "agent.temperature.target_share": 0.05}
    rare = {"eval.every": 5_000, "log.diagnostics": None, "video.every": "never", "threads": 1, "compile": "off"}
    result = api.train(name, steps=5_000, seed=1, run=tmp_path / "run", **small, **eager, **rare)
    rng, env = np.random.default_rng(0), Valves(flows)
    chance = np.mean([total(env, lambda *_: rng.integers(3, size=len(flows)), seed) for seed in range(100)])
    earned = np.mean(api.evaluate(result.path, episodes=100))
    assert (earned - chance) / (best_return(50, flows) - chance) > 0.9
