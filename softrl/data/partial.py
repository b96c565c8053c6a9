"""Partial observability: observations flicker, are noisy, have holes, lack velocities. Shapes: see `softrl.types`."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from softrl.data.wrappers import AnyEnv, Info
from softrl.errors import UserError

STREAM = 1
"""Sets the draws of observations apart from what the environment draws from the same seed."""
MIXED = ("egocentric_state", "imu", "inertial_sensors", "ball_state")
"""Entries of quadrupeds and dogs in which velocities stand among other numbers."""


@dataclass(frozen=True)
class Partial:
    """What is lost between the environment and the agent; nothing by default."""

    flicker: float = 0.0
    """Probability that a whole observation is blank: zeros, or a black frame."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise; pixels are scaled to [-0.5, 0.5] for it, and clipped there."""
    missing: float = 0.0
    """Probability of each entry of a state, or of each pixel with its three colours, to be blank."""
    velocities: bool = True
    """Whether velocities are seen; false leaves out the entries of a DeepMind Control state that are named so."""

    def __post_init__(self) -> None:
        for name in ("flicker", "missing"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"env.partial.{name} is {getattr(self, name)}: a probability lies in [0, 1]")
        if self.noise < 0:
            raise UserError(f"env.partial.noise is {self.noise}: a standard deviation is at least 0")

    def applied(self, env: AnyEnv) -> AnyEnv:
        """The environment, of flat states [D] or of frames [3,H,W], as it is then seen; raises UserError."""
        seen = env if self.velocities else Positions(env)
        return Obscured(seen, self) if self.flicker or self.noise or self.missing else seen


class Positions(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """Leaves out the entries of a DeepMind Control state whose name speaks of a velocity."""

    def __init__(self, env: AnyEnv) -> None:
        super().__init__(env)
        layout: dict[str, tuple[int, ...]] = getattr(env.unwrapped, "layout", {})
        space: Any = env.observation_space
        if len(space.shape) != 1 or not any("vel" in name for name in layout):
            raise UserError(
                "env.partial.velocities is false, but only states of DeepMind Control tasks have entries that are "
                "named velocities: leave it out for this environment"
            )
        if mixed := [name for name in layout if name in MIXED]:
            raise UserError(
                f"env.partial.velocities is false, and {' and '.join(mixed)} of this task have velocities among other "
                "numbers, which would be seen: choose a task whose velocities are entries of their own"
            )
        kept = [np.full(int(np.prod(shape)), "vel" not in name) for name, shape in layout.items()]
        self.kept = np.concatenate(kept)  # [D] bool
        self.observation_space = Box(space.low[self.kept], space.high[self.kept], dtype=space.dtype)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """The entries that are kept."""
        return observation[self.kept]


class Obscured(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """Adds noise, then makes holes, then blanks whole observations: the first of an episode as well as the others.

    The draws are those of a generator of this layer, seeded by `reset` with the environment: with other losses, and
    with none, the same seed gives the same task.
    """

    def __init__(self, env: AnyEnv, config: Partial) -> None:
        super().__init__(env)
        space: Any = env.observation_space
        self.config, self.random = config, np.random.default_rng()
        self.whole = space.dtype.kind == "u"
        self.scale = 255.0 if self.whole else 1.0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Start an episode; a seed starts the layer's generator afresh."""
        if seed is not None:
            self.random = np.random.default_rng([seed, STREAM])
        observation, info = self.env.reset(seed=seed, options=options)
        return self.observation(observation), info

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """What is left of an observation [D] or [3,H,W]."""
        space: Any = self.observation_space
        noise = self.scale * self.config.noise * self.random.standard_normal(observation.shape)
        noisy = np.clip(observation + noise, space.low, space.high)
        shown = self.random.random(observation.shape[-2:]) >= self.config.missing  # [D] or [H,W]
        lit = self.random.random() >= self.config.flicker
        rounded = np.rint(noisy) if self.whole else noisy
        return (rounded * (shown & lit)).astype(observation.dtype)
