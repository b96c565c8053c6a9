from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from gymnasium.vector import SyncVectorEnv

from softrl.data import envs
from softrl.data.pixels import Pixels
from softrl.errors import UserError
from softrl.run.observations import flat, own, rows

SPACES: list[Space[Any]] = [
    Box(-1.0, 1.0, (3,)),
    Box(-1.0, 1.0, ()),
    Box(-1.0, 1.0, (1, 4)),
    Box(-1.0, 1.0, (2, 3), np.float64),
    Box(0, 255, (4, 4, 3), np.uint8),
    Discrete(4, start=1),
    MultiDiscrete([3, 2]),
    MultiBinary(3),
    Dict(z=Discrete(3), arm=Box(-1.0, 1.0, (2, 2)), height=Box(0.0, 2.0, ())),
    Tuple((Discrete(2), Dict(a=Box(-1.0, 1.0, (2,)), b=MultiBinary(2)))),
]


class Shown(gymnasium.Env[Any, Any]):
    """Shows samples of a space."""

    def __init__(self, space: Space[Any]) -> None:
        self.observation_space, self.action_space = space, Box(-1.0, 1.0, (1,))
        self.render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_rows_are_what_make_gives(space: Space[Any]) -> None:
    """One observation, N of them from a vector of environments, and rows that are flat already."""
    made = [envs.make(lambda: Shown(space)) for _ in range(3)]
    flat = np.stack([env.reset(seed=seed)[0] for seed, env in enumerate(made)])  # [3,D]
    here = own(made[0])
    assert here == space
    np.testing.assert_allclose(rows(here, Shown(space).reset(seed=1)[0]), flat[1])
    many = SyncVectorEnv([lambda: Shown(space)] * 3).reset(seed=[0, 1, 2])[0]
    np.testing.assert_allclose(rows(here, many), flat)
    np.testing.assert_array_equal(rows(here, flat), flat)
    if flat.shape[1] > 1 and space.shape != (1, flat.shape[1]):  # which is one observation of that space
        np.testing.assert_array_equal(rows(here, flat[0]), flat[0])


@pytest.mark.parametrize("obs", [None, "text", [1, 2], (1, 2)])
def test_what_does_not_belong_to_the_space_is_left_as_it_is(obs: Any) -> None:
    assert rows(SPACES[-2], obs).shape == np.shape(obs)


def test_lists_of_several_lengths_are_no_numbers() -> None:
    assert rows(SPACES[0], [[1, 2], [3]]).dtype.kind == "O"


ARM = {"arm": np.zeros((2, 2)), "height": 1.0, "z": 0}


@pytest.mark.parametrize(
    ("space", "obs", "words"),
    [
        (SPACES[-2], {"z": 1}, "no observation['arm']"),
        (SPACES[-2], ARM | {"arm": np.zeros((5, 2, 2))}, "observation['arm'] of float64 [5, 2, 2]: it takes as many a"),
        (SPACES[-2], ARM | {"arm": np.zeros((3, 2))}, "observation['arm'] of float64 [3, 2]: it takes [2, 2], or N of"),
        (SPACES[-2], ARM | {"height": "high"}, "observation['height'] of <U4 []: it takes [], or N of them"),
        (SPACES[-2], ARM | {"z": 7}, "7 is not in Discrete(3)"),
        (SPACES[-1], (1, {"a": np.zeros(2)}), "no observation[1]['b']"),
        (SPACES[-1], ({"a": np.zeros(2)},), "observation[0] of object []: it takes [], or N of them"),
        (SPACES[0], (np.zeros(3), {}), "all that reset or step returns: give it the observation, the first"),
        (SPACES[-2], (ARM, 0.0, False, False, {}), "all that reset or step returns"),
        (None, (np.zeros((9, 8, 8), np.uint8), {}), "all that reset or step returns"),
    ],
)
def test_what_does_not_fit_is_named(space: Space[Any] | None, obs: Any, words: str) -> None:
    with pytest.raises(UserError) as told:
        rows(space, obs)
    assert str(told.value).startswith(f"the policy was given {words}")


def test_pictures_are_left_as_they_are() -> None:
    class Drawn(Shown):
        def render(self) -> Any:
            return np.zeros((32, 32, 3), np.uint8)

    made = envs.make(lambda: Drawn(SPACES[0]), envs.EnvConfig(pixels=Pixels(size=32)))
    assert own(made) is None
    obs, _ = made.reset(seed=0)
    assert rows(None, obs).shape == made.observation_space.shape


def test_a_choice_that_is_not_there_is_refused_among_n_as_alone() -> None:
    for space, good, bad in (
        (Discrete(4), np.array([3, 0]), np.array([3, -1])),
        (MultiBinary(2), np.array([[0, 1], [1, 1]]), np.array([[0, 1], [5, 1]])),
        (Dict(k=Discrete(3)), {"k": np.array([2, 1])}, {"k": np.array([1, -1])}),
    ):
        assert rows(space, good).shape == (2, {"Discrete": 4, "MultiBinary": 2, "Dict": 3}[type(space).__name__])
        with pytest.raises(ValueError, match="is not in"):
            flat(space, bad)
