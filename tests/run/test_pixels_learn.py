"""Training from pixels, all the way from pictures to a policy: a disc is to be brought to the middle of its picture."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

import softrl

SIZE, STEPS = 24, 20


class Disc(gymnasium.Env[np.ndarray, dict[str, Any]]):
    """x' = x + 0.3 a within [-1, 1]^2 at reward -|x'|, for 20 steps; x is hidden from who learns from pictures."""

    observation_space, action_space = Box(-1, 1, (2,), np.float32), Box(-1, 1, (2,), np.float32)
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.position, self.age = self.np_random.uniform(-1, 1, 2), 0
        return self.position.astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.position, self.age = np.clip(self.position + 0.3 * action, -1, 1), self.age + 1
        return self.position.astype(np.float32), -float(np.hypot(*self.position)), False, self.age == STEPS, {}

    def render(self) -> np.ndarray:
        axis = np.linspace(-1.2, 1.2, SIZE)
        near = np.hypot(axis - self.position[0], axis[:, None] - self.position[1]) < 0.25
        return np.where(near[..., None], np.uint8([200, 60, 30]), np.uint8(255))


def random_return() -> float:
    env, total = Disc(), 0.0
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(100):
        env.reset()
        total += sum(env.step(env.action_space.sample())[1] for _ in range(STEPS))
    return total / 100


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sac_ae", "sac_pixels"])
def test_it_learns_from_pictures_what_they_show(recipe: str, tmp_path: Path) -> None:
    result = softrl.train(
        Disc,
        f"{recipe}+tiny",
        steps=1_500,
        seed=1,
        run=tmp_path / "run",
        **{
            "env.workers": "sync",
            "env.pixels.size": SIZE,
            "env.pixels.stack": 1,
            "agent.encoder.convolutions.channels": 8,
            "agent.actor.trunk.hidden": (64, 64),
            "agent.critic.trunk.hidden": (64, 64),
            "train.gamma": 0.9,
            "train.warmup": 300,
            "eval.every": 750,
            "eval.episodes": 20,
        },
    )
    assert result.last is not None
    untaught = random_return()
    assert untaught < -10
    assert result.last > 0.4 * untaught  # the best policy loses about a tenth of it
    pictures = list((tmp_path / "run" / "media").glob("*_reconstructions.png"))
    assert len(pictures) == (2 if recipe == "sac_ae" else 0)  # none before there is anything to see
