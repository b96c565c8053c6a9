"""DeepMind Control tasks as Gymnasium environments."""

import logging
from typing import Any

import gymnasium
import numpy as np

from softrl.data import graphics, physics
from softrl.data.plain import Packer, Unpacker

TIME_LIMIT = 1000  # frames: every task's own, and a bound for lqr, which has none
ENDED = ("lqr",)  # domains whose tasks end episodes themselves
CAMERAS = {"quadruped": 2}  # the view that follows; 0 elsewhere
MODEL_SEED = 0
PARTS = ("_task", "_physics")  # of dm_control's environment
UNLIMITED = 1e10  # MuJoCo's largest number, which stands for an actuator without limits


class Control(gymnasium.Env[np.ndarray, np.ndarray]):
    """A task of the DeepMind Control suite (Tassa et al. 2018, arXiv 1801.00690), without a time limit.

    Observation: float32 [D], the task's entries one after the other in the order of its `observation_spec`. An episode
    is terminated where the task says so with discount 0, which only the linear-quadratic regulators do. Their actuators
    have no limits and are given [-1, 1].
    """

    def __init__(self, domain: str, task: str, render: int | None = None) -> None:
        graphics.prepare(render)
        logging.getLogger("absl").setLevel(logging.ERROR)  # the suite's models use deprecated MuJoCo attributes
        with graphics.back_end_named():
            from dm_control import suite

        # lqr draws its springs when it is loaded: with one seed for all, training, evaluation and resumed runs meet the
        # same physics; episodes are seeded by `reset`.
        self.control: Any = suite.load(domain, task, task_kwargs={"random": MODEL_SEED, "time_limit": float("inf")})
        self.original = physics.compiled(self.control.physics.model.ptr)
        self.camera, self.size = CAMERAS.get(domain, 0), render
        self.cameras = int(self.control.physics.model.ncam)
        self.metadata = {"render_modes": ["rgb_array"]}
        self.render_mode = "rgb_array" if render else None
        self.layout = {name: tuple(entry.shape) for name, entry in self.control.observation_spec().items()}
        width = sum(int(np.prod(shape)) for shape in self.layout.values())
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float32)
        action = self.control.action_spec()
        bounds = np.stack([action.minimum, action.maximum])  # [2,A]
        low, high = np.where(abs(bounds) < UNLIMITED, bounds, np.sign(bounds))
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float64)

    def flat(self, entries: dict[str, Any]) -> np.ndarray:
        """Observation entries as one float32 array [D]."""
        return np.concatenate([np.ravel(entry) for entry in entries.values()], dtype=np.float32, casting="unsafe")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; a seed starts the task's generator afresh."""
        super().reset(seed=seed)
        if seed is not None:
            self.control.task.random.seed(seed % 2**32)
        return self.flat(self.control.reset().observation), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One frame, which is one control step of the task."""
        moment = self.control.step(action)
        ended = moment.last()
        terminated = ended and moment.discount == 0.0
        return self.flat(moment.observation), float(moment.reward), terminated, ended and not terminated, {}

    def look(self, size: int, camera: int) -> np.ndarray:
        """The scene from a camera, [size,size,3] uint8."""
        return self.control.physics.render(size, size, camera_id=camera)

    def render(self) -> np.ndarray | None:
        """The scene from the task's camera, [size,size,3] uint8; None unless the task was made to be rendered."""
        return self.look(self.size, self.camera) if self.size else None

    def snapshot(self) -> dict[str, Any]:
        """Exact state: physics, the task's attributes and generator, the count of steps."""
        simulation, packer = self.control.physics, Packer()
        return {
            "physics": physics.capture(simulation.model.ptr, simulation.data.ptr, self.original),
            "task": packer.attributes(vars(self.control.task)),
            "control": packer.attributes(vars(self.control), PARTS),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `snapshot`."""
        simulation, unpacker = self.control.physics, Unpacker()
        physics.apply(simulation.model.ptr, simulation.data.ptr, self.original, state["physics"])
        unpacker.attributes(state["task"], vars(self.control.task))
        unpacker.attributes(state["control"], vars(self.control), PARTS)

    def close(self) -> None:
        """Free the simulation."""
        self.control.close()
