"""Environments whose observations are pictures: agents see them, resized and stacked, and nothing is drawn."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

import softrl
from softrl import api
from softrl.data.envs import EnvConfig, make, spec
from softrl.data.pixels import Pixels, resized
from softrl.errors import UserError

SIDE = 32


class Camera(gymnasium.Env[Any, Any]):
    """A picture drawn at random at each step, of 12 steps; rendering is an error."""

    action_space = Box(-1.0, 1.0, (1,), np.float32)
    colours: tuple[int, ...] = (3,)

    def __init__(self) -> None:
        self.observation_space = Box(0, 255, (SIDE, SIDE + 8, *self.colours), np.uint8)
        self.time = 0
        self.given = np.zeros(0, np.uint8)

    def picture(self) -> np.ndarray:
        self.given = self.np_random.integers(0, 256, self.observation_space.shape, np.uint8)
        return self.given

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.time = 0
        return self.picture(), {}

    def step(self, action: Any) -> Any:
        self.time += 1
        return self.picture(), float(action[0]), False, self.time == 12, {}

    def render(self) -> Any:
        raise AssertionError("nothing is to be rendered")


class Grey(Camera):
    colours = (1,)


class Flat(Camera):
    colours = ()


@pytest.mark.parametrize("source", [Camera, Grey, Flat])
def test_pixels_are_the_resized_observations(source: type[Camera]) -> None:
    env = make(source, EnvConfig(pixels=Pixels(size=16, stack=2)), seed=3)
    told = spec(env)
    assert (told.obs, told.stack) == ({"pixels": (6, 16, 16)}, 2)
    observation, _ = env.reset()
    frames = []
    for step in range(4):
        inner: Any = env.unwrapped
        colours = np.broadcast_to(inner.given.reshape(SIDE, SIDE + 8, -1), (SIDE, SIDE + 8, 3))
        frames.append(resized(np.ascontiguousarray(colours), 16).transpose(2, 0, 1))
        shown = [frames[max(0, step - 1)], frames[step]]
        np.testing.assert_array_equal(observation, np.concatenate(shown))
        observation = env.step(np.zeros(1, np.float32))[0]


@pytest.mark.parametrize("size", [SIDE, 16])
@pytest.mark.parametrize("colours", [3, 1])
def test_pictures_whose_colours_come_first_are_seen_as_the_others(colours: int, size: int) -> None:
    class Upright(Camera):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = Box(0, 255, (SIDE, SIDE, colours), np.uint8)

    class Planar(Upright):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = Box(0, 255, (colours, SIDE, SIDE), np.uint8)

        def picture(self) -> np.ndarray:
            drawn = self.np_random.integers(0, 256, (SIDE, SIDE, colours), np.uint8)
            self.given = np.ascontiguousarray(drawn.transpose(2, 0, 1))
            return self.given

    config, action = EnvConfig(pixels=Pixels(size=size, stack=1)), np.zeros(1, np.float32)
    planar: Any
    upright, planar = (make(source, config, seed=3) for source in (Upright, Planar))
    np.testing.assert_array_equal(planar.reset()[0], upright.reset()[0])
    np.testing.assert_array_equal(seen := planar.step(action)[0], upright.step(action)[0])
    assert not np.shares_memory(seen, planar.unwrapped.given)


def test_eight_by_ten_pixels_become_their_mean() -> None:
    picture = np.zeros((SIDE, SIDE + 8, 1), np.uint8)
    picture[:, 25:] = 200  # half of the third of four columns, and all of the last
    env: Any = make(Camera, EnvConfig(pixels=Pixels(size=4, stack=1)))
    env.reset()
    env.unwrapped.picture = lambda: picture.repeat(3, 2)
    shown = env.step(np.zeros(1, np.float32))[0]
    np.testing.assert_array_equal(shown, np.broadcast_to(np.array([0, 0, 100, 200], np.uint8), (3, 4, 4)))


def test_states_of_such_an_environment_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pictures \[32, 40, 3\].*--recipe drq"):
        softrl.train(Camera, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    flat = softrl.make(gymnasium.wrappers.FlattenObservation(Camera()))  # which says that it is meant
    assert flat.observation_space.shape == (SIDE * (SIDE + 8) * 3,)


def test_there_is_no_camera_to_choose() -> None:
    with pytest.raises(UserError, match="only DeepMind Control tasks have cameras"):
        make(Camera, EnvConfig(pixels=Pixels(camera=1)))


def test_a_registered_one_need_not_render(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        gymnasium.registry, "Camera-v0", gymnasium.envs.registration.EnvSpec("Camera-v0", entry_point=Camera)
    )
    env = make("Camera-v0", EnvConfig(pixels=Pixels(size=16)))
    assert env.observation_space.shape == (9, 16, 16)


@pytest.mark.slow
def test_a_run_on_them_resumes_exactly(tmp_path: Path) -> None:
    small: dict[str, Any] = {
        "steps": 60,
        "env.pixels.size": 16,
        "env.workers": "sync",
        "train.warmup": 20,
        "train.batch": 4,
        "train.updates_per_decision": 0.2,
        "eval.every": 30,
        "eval.episodes": 1,
        "log.diagnostics": None,
        "threads": 1,
    }
    whole = api.train(Camera, "sac_pixels+tiny", run=tmp_path / "whole", **small).path
    part = api.train(
        Camera, "sac_pixels+tiny", run=tmp_path / "part", callback=lambda told: told.env_steps >= 30, **small
    )
    assert not part.finished
    api.resume(part.path, env=Camera)
    name = "checkpoints/step_000000060/agent.safetensors"
    assert (whole / name).read_bytes() == (part.path / name).read_bytes()
