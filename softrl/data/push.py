"""Random pushes: at random moments the velocities of a MuJoCo simulation change."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from softrl.data.control import Control
from softrl.data.snapshot import simulations
from softrl.data.wrappers import AnyEnv, Info
from softrl.errors import UserError

STREAM = 2
"""Sets the draws of pushes apart from what the environment, and losses of observations, draw from the same seed."""


@dataclass(frozen=True)
class Push:
    """Pushes of the simulated bodies at random moments; none by default."""

    probability: float = 0.0
    """Probability of a push before each frame, of MuJoCo simulations only."""
    size: float = 1.0
    """Standard deviation of what a push adds to each velocity of the simulation, in meters or radians a second."""

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise UserError(f"env.push.probability is {self.probability}: a probability lies in [0, 1]")
        if self.size <= 0:
            raise UserError(
                f"env.push.size is {self.size}: it must be positive; for no pushes set env.push.probability 0"
            )

    def applied(self, env: AnyEnv) -> AnyEnv:
        """The environment, whose steps are frames, as it is then pushed; raises UserError."""
        return Pushed(env, self) if self.probability else env


class Pushed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Before a frame, with a probability p, every generalised velocity changes at once:

        v <- v + size * n,    n ~ N(0, I),

    the impulse M(q) size * n on the joints, whatever they were doing. What has been computed from the velocities is
    computed again; the agent sees nothing of it before the frame is over. The draws are those of a generator of this
    layer, seeded by `reset` with the environment, one number a frame and n for each push: whatever the agent does, the
    same seed pushes at the same frames. `pushes` counts them from the making of the environment on.
    """

    def __init__(self, env: AnyEnv, config: Push) -> None:
        super().__init__(env)
        if simulation(env) is None:
            raise UserError(
                f"env.push.probability is {config.probability}, but {type(env.unwrapped).__name__} is no MuJoCo "
                "simulation, and others have no velocities that can be changed: leave it out for this environment"
            )
        self.config, self.random, self.pushes = config, np.random.default_rng(), 0

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Any, Info]:
        """Start an episode; a seed starts the layer's generator afresh."""
        if seed is not None:
            self.random = np.random.default_rng([seed, STREAM])
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Info]:
        """One frame, perhaps after a push."""
        if self.random.random() < self.config.probability:
            self.push()
        return self.env.step(action)

    def push(self) -> None:
        """Change the velocities, and what was computed from them."""
        import mujoco

        data = simulation(self.env)
        data.qvel[:] += self.config.size * self.random.standard_normal(len(data.qvel))
        mujoco.mj_forward(data.model, data)  # dm_control's step begins in the middle, with what this computes
        self.pushes += 1


def simulation(env: AnyEnv) -> Any:
    """The mjData that an environment of DeepMind Control or Gymnasium steps; None where there is none."""
    world = env.unwrapped
    if isinstance(world, Control):
        return world.control.physics.data.ptr
    return next(iter(simulations(world).values()), None)
