"""An environment of your own: any Gymnasium environment, given as a class or a factory.

python examples/own_environment.py [STEPS]
"""

import sys
from typing import Any

import gymnasium
import numpy as np

import softrl


class Thermostat(gymnasium.Env[np.ndarray, np.ndarray]):
    """Keep a room at 20 degrees by heating with 0 to 2000 watts, while the weather changes."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-50.0, 50.0, (2,), np.float32)  # room and outside, degrees
        self.action_space = gymnasium.spaces.Box(0.0, 2000.0, (1,), np.float32)  # watts; agents see [-1, 1]
        self.room, self.outside, self.minute = 0.0, 0.0, 0

    def observe(self) -> np.ndarray:
        return np.array([self.room - 20, self.outside - 20], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.room, self.outside, self.minute = self.np_random.uniform(5, 30), self.np_random.uniform(-10, 15), 0
        return self.observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.room += 0.02 * (self.outside - self.room) + 0.0005 * float(action[0])
        self.minute += 1
        cold_or_hot = abs(self.room - 20)
        # the day's end is a truncation: the room goes on existing, so its value is bootstrapped
        return self.observe(), -cold_or_hot, False, self.minute == 120, {"is_success": cold_or_hot < 1}


def main(steps: int = 6_000) -> None:
    run = softrl.train(Thermostat, recipe="sac", steps=steps, quiet=False, **{"train.warmup": 500, "eval.every": 1000})
    policy = softrl.load(run.path)  # acting needs no environment
    action, _ = policy.predict(np.array([-5.0, -20.0], np.float32))
    print(f"at 15 degrees, and 0 outside: {action[0]:.0f} watts")


if __name__ == "__main__":
    main(*(int(steps) for steps in sys.argv[1:2]))
