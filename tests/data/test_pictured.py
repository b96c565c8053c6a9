"""What is taken for a picture, what only looks like one, and what is said of it."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple

from softrl.data.envs import EnvConfig, make
from softrl.data.pictured import inside, pictured, similar
from softrl.data.pixels import Pixels, overlooked
from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run.checks import checked
from softrl.run.config import Run


@pytest.mark.parametrize(
    ("space", "answer"),
    [
        (Box(0, 255, (16, 16, 3), np.uint8), (True, False)),
        (Box(0, 255, (210, 160), np.uint8), (True, False)),
        (Box(0, 255, (3, 64, 64), np.uint8), (True, False)),
        (Box(0, 255, (1, 84, 84), np.uint8), (True, False)),
        (Box(0, 255, (7, 7, 3), np.uint8), (False, False)),  # a board
        (Box(0, 255, (3, 7, 7), np.uint8), (False, False)),
        (Box(0, 255, (64, 64, 4), np.uint8), (False, True)),
        (Box(0, 255, (4, 84, 84), np.uint8), (False, True)),
        (Box(0, 255, (4, 84, 84, 3), np.uint8), (False, True)),
        (Box(0, 255, (64, 64, 3), np.float32), (False, True)),
        (Box(0, 1, (3, 64, 64), np.float32), (False, True)),
        (Box(0, 1, (20, 20, 3), np.float32), (False, False)),  # a map
        (Box(0, 1, (64, 64), np.float32), (False, False)),  # a matrix
        (Box(-1, 1, (64, 64, 3), np.float32), (False, False)),
        (Box(0, 9, (64, 64, 3), np.uint8), (False, False)),
        (Box(0, 255, (300,), np.uint8), (False, False)),
        (Discrete(3), (False, False)),
    ],
    ids=str,
)
def test_what_is_a_picture_and_what_looks_like_one(space: Any, answer: tuple[bool, bool]) -> None:
    assert (pictured(space), similar(space)) == answer


class Stacked(gymnasium.Env[Any, Any]):
    """Four grey pictures at once; cannot draw, although it says so."""

    observation_space = Box(0, 255, (4, 84, 84), np.uint8)
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    render_mode: str | None = "rgb_array"

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        return self.observation_space.sample(), 0.0, False, False, {}

    def render(self) -> Any:
        raise NotImplementedError


class Blind(Stacked):
    render_mode = None


class Drawn(Stacked):
    def render(self) -> Any:
        return np.zeros((84, 84, 3), np.uint8)


LIKE = r"the observations look like pictures, \[4, 84, 84\] of uint8: give single ones, \[H,W,3\] or \[H,W\] of uint8"
PIXELS = EnvConfig(pixels=Pixels())


def test_what_looks_like_a_picture_is_no_row_unless_it_is_said() -> None:
    with pytest.raises(UserError, match=rf"^{LIKE}.*FlattenObservation where one long row is meant$"):
        make(Stacked)
    assert make(lambda: gymnasium.wrappers.FlattenObservation(Stacked())).observation_space.shape == (4 * 84 * 84,)


def test_where_nothing_is_drawn_it_is_said_what_to_do_with_the_observations() -> None:
    with pytest.raises(UserError, match=rf"gives no pictures: .*; {LIKE}"):
        make(Blind, PIXELS)
    with pytest.raises(
        UserError, match=rf"^the environment Stacked raised NotImplementedError in render \(\S+\); {LIKE}"
    ):
        make(Stacked, PIXELS).reset()


def test_where_something_is_drawn_it_is_said_that_the_observations_are_not_seen() -> None:
    assert overlooked(make(Drawn, PIXELS)).startswith("agents see what render() gives and nothing else; the observ")
    assert overlooked(make("Pendulum-v1", EnvConfig(pixels=Pixels()))) == overlooked(make("Pendulum-v1")) == ""


def test_a_run_says_so_before_it_begins() -> None:
    said: list[str] = []
    checked(Drawn, apply("sac_pixels+tiny", Run()), said.append)
    checked("Pendulum-v1", apply("sac_pixels+tiny", Run()), said.append)
    assert [line.startswith("agents see what render() gives") for line in said] == [True]


PICTURE = Box(0, 255, (32, 32, 3), np.uint8)
SPEED = Box(-1.0, 1.0, (4,), np.float32)


class Car(Stacked):
    """Shows a picture and numbers at once."""

    observation_space: Any = Dict(image=PICTURE, speed=SPEED)


class DrawnCar(Car):
    def render(self) -> Any:
        return np.zeros((32, 32, 3), np.uint8)


class BlindCar(Car):
    render_mode = None


HELD = r"the observations hold pictures, observation\['image'\] \[32, 32, 3\], and recipes read one picture or a row"


def test_pictures_beside_numbers_are_neither_a_row_nor_dropped_without_a_word() -> None:
    with pytest.raises(UserError, match=rf"^{HELD} .*FilterObservation, or wrap .* one long row is meant$"):
        make(Car)
    with pytest.raises(UserError, match=rf"gives no pictures: .*; {HELD}"):
        make(BlindCar, PIXELS)
    with pytest.raises(UserError, match=rf"in render \(\S+\); {HELD}"):
        make(Car, PIXELS).reset()
    assert overlooked(make(DrawnCar, PIXELS)).startswith("agents see what render() gives and nothing else; the observ")


def test_what_is_said_of_them_helps() -> None:
    wrappers = gymnasium.wrappers
    numbers = make(lambda: wrappers.FilterObservation(Car(), ["speed"]))
    assert numbers.observation_space.shape == (4,)
    alone = make(lambda: wrappers.TransformObservation(BlindCar(), lambda obs: obs["image"], PICTURE), PIXELS)
    assert alone.reset()[0].shape == (9, 84, 84)
    row = make(lambda: wrappers.FlattenObservation(Car()))
    assert row.observation_space.shape == (32 * 32 * 3 + 4,)


def test_pictures_are_found_in_any_nest() -> None:
    nest = Tuple([Dict(eye=Tuple([SPEED, PICTURE])), SPEED, Box(0, 1, (64, 64, 3), np.float32)])
    assert list(inside(nest)) == ["observation[0]['eye'][1]", "observation[2]"]
    assert inside(Dict(speed=SPEED, board=Box(0, 255, (7, 7, 3), np.uint8))) == inside(PICTURE) == {}
