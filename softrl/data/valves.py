"""A control task whose actions are the openings of several valves, with a known optimum: `softrl/Valves-v0`."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiDiscrete

FEW, MANY = (1, 2, 4), (1, 1, 1, 2, 2, 3, 4)  # what half open valves let out in a step: 27 joint actions, 2187
PRICE = np.array([0.0, 0.01, 0.03])  # of a valve for a step: closed, half open, open
LEVELS, MARK = 41, 20  # of the water, from 0 on; the wanted one, below which no episode begins
COST = ((np.arange(LEVELS) - MARK) / 20.0) ** 2  # of each level after a step
RAIN = ((0, 2), (3, 9), (10, 22))  # least and most that falls in a step: in dry weather, in rain, in a storm
MOVES = np.array([[0.9, 0.1, 0.0], [0.2, 0.6, 0.2], [0.0, 0.4, 0.6]])  # probabilities of the next weather
METADATA: dict[str, Any] = {"render_modes": []}


class Valves(gymnasium.Env[np.ndarray, np.ndarray]):
    """Hold the water of a reservoir at a mark while rain fills it, by how far several valves are opened.

    State: level x in {0..40} and weather w in {dry, rain, storm}; observation ((x - 20) / 20, one-hot of w), float32
    [4]; action p in {0, 1, 2}^n, an opening for each valve (`MultiDiscrete`). With flows f and prices c = (0, 0.01,
    0.03), and rain drawn uniformly from {0..2}, {3..9} or {10..22} as the weather is, a step goes to

        x' = min(max(x - sum_i f_i p_i, 0) + rain, 40)    at    reward -(((x' - 20) / 20)^2 + sum_i c_{p_i}),

    and then the weather changes. What counts is how much the valves let out together: with flows (1, 2, 4) at most 14,
    less than a storm brings, by 27 joint actions, few enough to be listed; `softrl/ManyValves-v0` has flows
    (1, 1, 1, 2, 2, 3, 4), lets out up to 28, and has 2187. An episode has 50 steps and never terminates; it begins
    anywhere from 20 to 40, in any weather.

    The optimum is known: V_n(x, w), the least mean cost of n more steps, follows from V_{n-1} by dynamic programming
    over the 123 states and the cheapest openings for each amount. The mean return of the best policy is -3.33 with
    three valves and -1.52 with seven (`best_return`, `best_action`); random openings earn -33.2 and -36.2.
    """

    metadata = METADATA

    def __init__(self, flows: Sequence[int] = FEW) -> None:
        self.flows = tuple(flows)
        self.observation_space = Box(-1.0, 1.0, (1 + len(RAIN),), np.float32)
        self.action_space = MultiDiscrete([len(PRICE)] * len(self.flows))
        self.level, self.weather = MARK, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode at or above the mark."""
        super().reset(seed=seed)
        self.level = int(self.np_random.integers(MARK, LEVELS))
        self.weather = int(self.np_random.integers(len(RAIN)))
        return self.observed(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Let water out, let it rain, pay."""
        opening = np.asarray(action)
        kept = max(self.level - int(opening @ self.flows), 0)
        least, most = RAIN[self.weather]
        self.level = min(kept + int(self.np_random.integers(least, most + 1)), LEVELS - 1)
        self.weather = int(self.np_random.choice(len(RAIN), p=MOVES[self.weather]))
        return self.observed(), -float(COST[self.level] + PRICE[opening].sum()), False, False, {}

    def observed(self) -> np.ndarray:
        """Level and weather, [4]."""
        return np.array([self.level / MARK - 1, *np.eye(len(RAIN))[self.weather]], np.float32)


def many_valves() -> Valves:
    """The task with seven valves."""
    return Valves(MANY)


class Plan(NamedTuple):
    """What is best with some steps to go."""

    value: np.ndarray  # [levels,weathers], least mean cost
    opening: np.ndarray  # [levels,weathers,valves]


@lru_cache
def plan(steps: int, flows: tuple[int, ...] = FEW, gamma: float = 1.0) -> Plan:
    """The best openings with so many steps to go, at every level and in every weather; with none nothing is paid."""
    levels, weathers = np.arange(LEVELS), len(RAIN)
    if steps == 0:
        return Plan(np.zeros((LEVELS, weathers)), np.zeros((LEVELS, weathers, len(flows)), np.int64))
    after = plan(steps - 1, flows, gamma).value
    amount, price, opening = cheapest(flows)
    later = COST[:, None] + gamma * after @ MOVES.T  # [levels,weathers], when it has rained
    kept = np.stack([rained(later[:, w], *RAIN[w]) for w in range(weathers)], 1)  # [levels,weathers], before it rains
    total = price[:, None, None] + kept[np.maximum(levels - amount[:, None], 0)]  # [amounts,levels,weathers]
    return Plan(total.min(0), opening[total.argmin(0)])


@lru_cache
def cheapest(flows: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Amounts that valves can let out, [amounts], the least price of each, and openings at it, [amounts,valves]."""
    opening = np.array(list(product(range(len(PRICE)), repeat=len(flows))))
    amount, price = opening @ np.array(flows), PRICE[opening].sum(1)
    order = np.lexsort((price, amount))  # by amount, the cheapest first
    amounts, first = np.unique(amount[order], return_index=True)
    return amounts, price[order][first], opening[order][first]


def rained(value: np.ndarray, least: int, most: int) -> np.ndarray:
    """The mean of a value of levels over the rain that falls on each, [levels]."""
    fallen = np.arange(least, most + 1)[:, None]
    return np.asarray(value[np.minimum(np.arange(LEVELS) + fallen, LEVELS - 1)].mean(0))


def best_return(steps: int = 50, flows: tuple[int, ...] = FEW, gamma: float = 1.0) -> float:
    """The mean return of the best policy over all starts, discounted by `gamma`."""
    return -float(plan(steps, flows, gamma).value[MARK:].mean())


def best_action(
    level: int, weather: int, steps: int = 50, flows: tuple[int, ...] = FEW, gamma: float = 1.0
) -> tuple[np.ndarray, float]:
    """The best openings at a level in a weather with so many steps to go, and the mean return from there on."""
    value, opening = plan(steps, flows, gamma)
    return opening[level, weather], -float(value[level, weather])
