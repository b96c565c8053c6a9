"""A control task whose actions are a gear and its throttle, with a known optimum: `softrl/Gears-v0`."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

GROWTH, TURN = 1.1, 0.3  # of the position in a step that nothing pushes against: a factor, radians
STRENGTH = (0.0, 0.4, 1.2)  # of each gear
PRICE = (0.0, 0.1, 1.0)  # of a step in each gear
FUEL = 0.5  # price of a unit of squared throttle
GUST = 0.1  # probability
START, WALL, THROTTLE = 3.0, 6.0, 3.0  # radius of the positions after a gust, of the world; largest throttle
METADATA = {"render_modes": ["rgb_array"], "render_fps": 10}
COLOURS = np.array([[120, 120, 120], [30, 110, 200], [200, 60, 30]], np.uint8)  # of each gear, when rendered


class Gears(gymnasium.Env[np.ndarray, dict[str, Any]]):
    """Hold a craft above a spot, in a swirl that carries it away: coast, or push in a low or in a high gear.

    State and observation x, float32 [2]; action {"gear": g in {0, 1, 2}, "throttle": u in [-3, 3]^2}. With R a turn by
    0.3 radians, strengths b = (0, 0.4, 1.2) and prices c = (0, 0.1, 1), a step goes to

        x' = 1.1 R x + b_g u    at    reward -(|x'|^2 + |u|^2 / 2 + c_g),

    and then, with probability 0.1, a gust throws the craft anywhere into the disc of radius 3, in which episodes also
    begin. Positions are cut to radius 6. An episode has 50 steps and never terminates.

    The optimum is known. The cost of n more steps is a minimum of parabolas, V_n(x) = min_j p_j |x|^2 + k_j: for each
    parabola of V_{n-1} and each gear, with q = 1 + 0.9 gamma p_j and m the mean of V_{n-1} over the disc,

        p = 1.21 q / (1 + 2 b_g^2 q),    k = c_g + gamma (0.9 k_j + 0.1 m),    u = -2.2 b_g q / (1 + 2 b_g^2 q) R x,

    since two minima may change places and a gust forgets the action. With all 50 steps ahead it is best to coast within
    0.080 of the spot, to push in low gear within 0.714 and in high gear beyond; no throttle exceeds 2.5. The mean
    return of the best policy is -16.39 (`best_return`, `best_action`).
    """

    metadata = METADATA

    def __init__(self, render_mode: str | None = None, width: int = 256, height: int = 256) -> None:
        self.render_mode, self.width, self.height = render_mode, width, height
        self.observation_space = Box(-WALL, WALL, (2,), np.float32)
        self.action_space = Dict(gear=Discrete(len(STRENGTH)), throttle=Box(-THROTTLE, THROTTLE, (2,), np.float32))
        self.position, self.gear = np.zeros(2), 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode anywhere in the disc."""
        super().reset(seed=seed)
        self.position, self.gear = self.thrown(), 0
        return self.position.astype(np.float32), {}

    def step(self, action: dict[str, Any]) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push, pay, and perhaps be thrown."""
        self.gear, throttle = int(action["gear"]), np.asarray(action["throttle"], np.float64)
        moved = GROWTH * turned(self.position) + STRENGTH[self.gear] * throttle
        self.position = moved * min(1.0, WALL / max(float(np.hypot(*moved)), WALL))
        cost = self.position @ self.position + FUEL * throttle @ throttle + PRICE[self.gear]
        if self.np_random.random() < GUST:
            self.position = self.thrown()
        return self.position.astype(np.float32), -float(cost), False, False, {}

    def thrown(self) -> np.ndarray:
        """A position drawn uniformly from the disc."""
        radius, angle = START * np.sqrt(self.np_random.random()), 2 * np.pi * self.np_random.random()
        return radius * np.array([np.cos(angle), np.sin(angle)])

    def render(self) -> np.ndarray:
        """The craft in the colour of its gear, the spot in the middle and the disc, [height,width,3] uint8."""
        x = np.linspace(-WALL, WALL, self.width)
        y = np.linspace(WALL, -WALL, self.height)[:, None]
        picture = np.full((self.height, self.width, 3), 255, np.uint8)
        picture[np.hypot(x, y) < START] = 235
        picture[np.hypot(x, y) < 0.1] = 0
        picture[np.hypot(x - self.position[0], y - self.position[1]) < 0.4] = COLOURS[self.gear]
        return picture


class Parabola(NamedTuple):
    """slope * |x|^2 + offset: what is paid with this gear and throttle -gain * R x, then with the best."""

    slope: float
    offset: float
    gear: int
    gain: float


def turned(position: np.ndarray) -> np.ndarray:
    """R x, [2]."""
    x, y = position
    return np.array([np.cos(TURN) * x - np.sin(TURN) * y, np.sin(TURN) * x + np.cos(TURN) * y])


@lru_cache
def parabolas(steps: int, gamma: float = 1.0) -> tuple[Parabola, ...]:
    """The parabolas of V_steps, the lowest at the spot first; with no step left nothing is paid."""
    if steps == 0:
        return (Parabola(0.0, 0.0, 0, 0.0),)
    after, candidates = parabolas(steps - 1, gamma), list[Parabola]()
    for parabola in after:
        q = 1 + gamma * (1 - GUST) * parabola.slope
        offset = gamma * ((1 - GUST) * parabola.offset + GUST * mean(after))
        for gear, (strength, price) in enumerate(zip(STRENGTH, PRICE, strict=True)):
            share = q / (FUEL + strength**2 * q)
            slope, gain = GROWTH**2 * FUEL * share, GROWTH * strength * share
            candidates.append(Parabola(slope, offset + price, gear, gain))
    return lowest(candidates)


def lowest(parabolas: Sequence[Parabola]) -> tuple[Parabola, ...]:
    """Those that are the lowest somewhere in the world, steeper ones first: a lower envelope of lines in |x|^2."""
    kept: list[Parabola] = []
    for new in sorted(parabolas, key=lambda parabola: (parabola.offset, parabola.slope)):
        while len(kept) > 1 and crossing(kept[-1], new) <= crossing(kept[-2], kept[-1]):
            kept.pop()
        if not kept or crossing(kept[-1], new) < WALL**2:
            kept.append(new)
    return tuple(kept)


def crossing(steep: Parabola, flat: Parabola) -> float:
    """The |x|^2 from which on the flatter one is lower; infinity where it is not flatter."""
    return (flat.offset - steep.offset) / (steep.slope - flat.slope) if flat.slope < steep.slope else np.inf


def mean(parabolas: Sequence[Parabola]) -> float:
    """The mean over the disc of the least of some parabolas; |x|^2 is uniform there, and the least is linear in it."""
    corners = [crossing(one, other) for one, other in pairwise(parabolas)]
    square = np.array([0.0, *(corner for corner in corners if corner < START**2), START**2])
    least = np.min([parabola.slope * square + parabola.offset for parabola in parabolas], axis=0)
    return float(np.trapezoid(least, square)) / START**2


def best_return(steps: int = 50, gamma: float = 1.0) -> float:
    """The mean return of the best policy over all starts, discounted by `gamma`."""
    return -mean(parabolas(steps, gamma))


def best_action(position: np.ndarray, steps: int = 50, gamma: float = 1.0) -> tuple[dict[str, Any], float]:
    """The best action at a position within the disc with so many steps to go, and the mean return from there on."""
    square = float(position @ position)
    best = min(parabolas(steps, gamma), key=lambda parabola: parabola.slope * square + parabola.offset)
    throttle = (-best.gain * turned(position)).astype(np.float32)
    return {"gear": np.int64(best.gear), "throttle": throttle}, -(best.slope * square + best.offset)
