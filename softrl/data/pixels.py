"""Pixel observations: what is seen after each decision, by a camera or as it is given, stacked.

Shapes: see `softrl.types`.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from softrl.data.control import Control
from softrl.data.failures import failure
from softrl.data.names import control_task
from softrl.data.pictured import COLOURS, pictured, planar, remedy
from softrl.data.wrappers import AnyEnv, Info
from softrl.errors import UserError

REPEATS = {"ball_in_cup": 4, "cartpole": 8, "cheetah": 4, "finger": 2, "reacher": 4, "walker": 2}
"""Frames each action is held for in the six domains of PlaNet (Hafner et al. 2019, arXiv 1811.04551, table 1)."""
REPEAT = 2
"""The same for the other domains of DeepMind Control, as in Dreamer (Hafner et al. 2020, arXiv 1912.01603)."""


@dataclass(frozen=True)
class Pixels:
    """Pictures in the place of states: uint8 [3 * stack, size, size], colours before rows, the newest frame last."""

    size: int = 84
    """Height and width of a picture; what an environment draws larger is averaged over areas."""
    camera: int | None = None
    """Camera of a DeepMind Control task; none is the one that follows the quadruped, and the first of the others."""
    stack: int = 3
    """Newest frames in one observation; the first of an episode is repeated while there are fewer."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"env.pixels.size is {self.size}: a picture is at least 1 pixel wide")
        if self.stack < 1:
            raise UserError(f"env.pixels.stack is {self.stack}: an observation has at least 1 frame")
        if self.camera is not None and self.camera < 0:
            raise UserError(f"env.pixels.camera is {self.camera}: cameras are counted from 0")


def usual_repeat(name: str) -> int:
    """Frames for which learning from pixels holds each action: a number for each DeepMind Control domain, else 1."""
    task = control_task(name)
    return REPEATS.get(task[0], REPEAT) if task else 1


def seen(env: AnyEnv, config: Pixels) -> AnyEnv:
    """The environment as pictures, one a decision; raises UserError for a camera that it does not have.

    They are its own observations where these are pictures, what a camera sees in a task of DeepMind Control, and what
    is rendered elsewhere.
    """
    if isinstance(env.unwrapped, Control):
        return Camera(env, config)
    return Own(env, config) if pictured(env.observation_space) else Screen(env, config)


def overlooked(env: AnyEnv) -> str:
    """What is told where agents see what is rendered although the observations look like pictures; else nothing."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper) and not isinstance(layer, Screen):
        layer = layer.env
    told = remedy(layer.env.observation_space) if isinstance(layer, Screen) else ""
    return f"agents see what render() gives and nothing else; {told}" if told else ""


class Camera(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """What a camera of a DeepMind Control task sees, uint8 [3,size,size]."""

    def __init__(self, env: AnyEnv, config: Pixels) -> None:
        super().__init__(env)
        control: Any = env.unwrapped
        self.size, self.camera = config.size, control.camera if config.camera is None else config.camera
        if self.camera >= control.cameras:
            raise UserError(f"env.pixels.camera is {self.camera}: the task has cameras 0 to {control.cameras - 1}")
        self.observation_space = pictures(COLOURS, self.size)

    def observation(self, observation: Any) -> np.ndarray:
        """A new frame."""
        control: Any = self.env.unwrapped
        return planes(control.look(self.size, self.camera))


class Screen(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """What a Gymnasium environment renders, brought to uint8 [3,size,size]."""

    def __init__(self, env: AnyEnv, config: Pixels) -> None:
        super().__init__(env)
        self.size = square(config)
        self.observation_space = pictures(COLOURS, self.size)

    def observation(self, observation: Any) -> np.ndarray:
        """A new frame; raises UserError where none is drawn."""
        try:
            picture = self.env.render()
        except Exception as error:  # which a reset or step would be blamed for
            raise failure(self, "render", error, remedy(self.env.observation_space)) from error
        return planes(resized(picture, self.size))


class Own(gymnasium.ObservationWrapper[np.ndarray, Any, Any]):
    """Observations that are pictures, brought to uint8 [3,size,size], of grey three times; nothing is rendered."""

    def __init__(self, env: AnyEnv, config: Pixels) -> None:
        super().__init__(env)
        self.size = square(config)
        self.planar = planar(env.observation_space.shape or ())
        self.observation_space = pictures(COLOURS, self.size)

    def observation(self, observation: Any) -> np.ndarray:
        """A new frame."""
        given = np.asarray(observation)
        if self.planar and given.ndim == 3:
            given = np.moveaxis(given, 0, -1)
        picture = given[..., None] if given.ndim == 2 else given  # [H,W,1 or 3]
        coloured = picture.repeat(COLOURS, 2) if picture.shape[2:] == (1,) else picture
        return planes(resized(coloured, self.size, "observation"))


class Stack(gymnasium.Wrapper[np.ndarray, Any, Any, Any]):
    """The newest `depth` frames [3,H,W] of an episode in one array [3 * depth,H,W].

    The newest comes last, and the first frame is repeated at the reset.
    """

    def __init__(self, env: AnyEnv, depth: int) -> None:
        super().__init__(env)
        space: Any = env.observation_space
        self.frames: deque[np.ndarray] = deque(maxlen=depth)
        self.depth = depth
        self.observation_space = pictures(depth * COLOURS, space.shape[-1])

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Start an episode."""
        frame, info = self.env.reset(seed=seed, options=options)
        self.frames.extend([frame] * self.depth)
        return np.concatenate(self.frames), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, Info]:
        """One decision."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        self.frames.append(frame)
        return np.concatenate(self.frames), reward, terminated, truncated, info


def square(config: Pixels) -> int:
    """Height and width of what an environment without cameras shows; raises UserError where one is asked for."""
    if config.camera is not None:
        raise UserError(
            f"env.pixels.camera is {config.camera}: only DeepMind Control tasks have cameras to choose from, leave it "
            "out"
        )
    return config.size


def pictures(channels: int, size: int) -> Box:
    """The space of square pictures."""
    return Box(0, 255, (channels, size, size), np.uint8)


def planes(picture: np.ndarray) -> np.ndarray:
    """[H,W,3] -> [3,H,W], a new array."""
    return np.array(picture.transpose(2, 0, 1), order="C")


def resized(picture: Any, size: int, origin: str = "render()") -> np.ndarray:
    """A picture [H,W,3] as [size,size,3]: each pixel is the mean of the area that it covers. Raises UserError."""
    given = np.asarray(picture)
    if given.ndim != 3 or given.shape[2] != COLOURS or given.dtype != np.uint8:
        raise UserError(
            f"the environment's {origin} gave {type(picture).__name__} {list(given.shape)} of {given.dtype}: pixels "
            "need an array [height, width, 3] of uint8"
        )
    if given.shape[:2] == (size, size):
        return given
    from PIL import Image

    return np.asarray(Image.fromarray(given).resize((size, size), Image.Resampling.BOX))
