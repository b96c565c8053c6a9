"""Spaces in JSON: each kind comes back as it was, and a policy acts from what the folder tells."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiBinary, MultiDiscrete, Space, Tuple

from softrl.data import envs
from softrl.errors import UserError
from softrl.run import spaces
from softrl.types import Spec

GOLDEN = [
    (
        Box(-np.inf, 8.0, (2,), np.float32),
        {"type": "Box", "low": "-inf", "high": 8.0, "shape": [2], "dtype": "float32"},
    ),
    (
        Box(np.array([[0.0, -3.0]]), np.array([[5.0, 1.0]]), dtype=np.float64),
        {"type": "Box", "low": [0.0, -3.0], "high": [5.0, 1.0], "shape": [1, 2], "dtype": "float64"},
    ),
    (Box(0, 2**62, (), np.int64), {"type": "Box", "low": 0, "high": 2**62, "shape": [], "dtype": "int64"}),
    (Discrete(3, start=-1), {"type": "Discrete", "n": 3, "start": -1, "dtype": "int64"}),
    (
        MultiDiscrete([[2, 3]], start=[[1, 0]]),
        {"type": "MultiDiscrete", "nvec": [[2, 3]], "start": [[1, 0]], "dtype": "int64"},
    ),
    (MultiBinary([2, 2]), {"type": "MultiBinary", "n": [2, 2]}),
    (
        Tuple([Discrete(2), Dict({"b": MultiBinary(1)})]),
        {
            "type": "Tuple",
            "spaces": [
                {"type": "Discrete", "n": 2, "start": 0, "dtype": "int64"},
                {"type": "Dict", "spaces": [["b", {"type": "MultiBinary", "n": 1}]]},
            ],
        },
    ),
]


@pytest.mark.parametrize(("space", "expected"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_space_in_json_and_back(space: Space[Any], expected: dict[str, Any]) -> None:
    written = json.dumps(spaces.described(space), allow_nan=False)
    assert json.loads(written) == expected
    assert spaces.made(json.loads(written)) == space


def test_the_entries_of_a_dict_keep_their_order() -> None:
    """That of a flat observation."""
    space = Dict([("speed", Box(0, 1)), ("angle", Discrete(2))])
    assert list(spaces.made(spaces.described(space)).spaces) == ["speed", "angle"]


def test_a_space_of_another_kind_is_left_out() -> None:
    assert spaces.described(Graph(Box(0, 1), None)) is None
    assert spaces.described(Tuple([Discrete(2), Graph(Box(0, 1), None)])) is None
    assert spaces.described(None) is None


def test_names_that_json_does_not_have() -> None:
    """Nothing reads an observation's, and actions need theirs."""
    named: Space[Any] = Dict({("a", 1): Discrete(2), ("b", 2): Box(-1, 1, (2,))})
    assert spaces.described(named) is None
    spec = Spec({"state": (2,)}, 1)
    assert spaces.to_json(spaces.Spaces(spec, Box(-1, 1, (1,)), named))["observation"] is None
    with pytest.raises(UserError, match="names that no file can keep"):
        spaces.to_json(spaces.Spaces(spec, named, None))


def test_what_a_folder_tells_of_an_environment(tmp_path: Path) -> None:
    env = envs.make("CartPole-v1")
    seen = spaces.of(env)
    told = spaces.to_json(seen)
    assert {name: told[name] for name in ("obs", "continuous", "choices", "stack")} == {
        "obs": {"state": [4]},
        "continuous": 0,
        "choices": [2],
        "stack": 1,
    }
    assert spaces.read(tmp_path) is None  # a run that is older than the file
    (tmp_path / spaces.FILE).write_text(json.dumps(told))
    assert spaces.read(tmp_path) == seen
    assert seen.observation == gymnasium.make("CartPole-v1").observation_space


@pytest.mark.parametrize("torn", ['{"obs": {"sta', "[]", '{"obs": {}}', '{"type": "Text"}'])
def test_a_torn_file_is_said_so(tmp_path: Path, torn: str) -> None:
    (tmp_path / spaces.FILE).write_text(torn)
    with pytest.raises(UserError, match=r"spaces\.json is torn or was edited"):
        spaces.read(tmp_path)


def test_worlds_that_differ_are_told_in_words() -> None:
    spaces.check_same_spec(Spec({"state": (3,)}, 1, gamma=0.9, chunk=4), Spec({"state": (3,)}, 1))
    with pytest.raises(UserError, match=r"takes state \[3\] and actions of 1 numbers, and this environment has state "):
        spaces.check_same_spec(Spec({"state": (3,)}, 1), Spec({"state": (2,)}, 1))
    with pytest.raises(UserError, match=r"actions of choices of 4 options and 2 numbers, and .* of 2 numbers: give"):
        spaces.check_same_spec(Spec({"state": (3,)}, 2, (4,)), Spec({"state": (3,)}, 2))


def test_the_same_number_of_other_bounds_is_another_action() -> None:
    mine, other = Box(0.0, 2000.0, (1,)), Box(-2.0, 2.0, (1,))
    spaces.check_same_actions(mine, Box(0.0, 2000.0, (1,)))
    with pytest.raises(UserError, match=r"actions are Box\(0.0, 2000.0, .* and this environment has Box\(-2.0, 2.0, "):
        spaces.check_same_actions(mine, other)
    with pytest.raises(UserError, match="Discrete"):
        spaces.check_same_actions(Discrete(3), Discrete(3, start=1))


def test_entries_in_another_order_are_another_observation() -> None:
    one = Dict({"pos": Box(-1, 1, (1,)), "vel": Box(-1, 1, (2,))})
    spaces.check_same_observations(one, Dict({"pos": Box(-2, 2, (1,)), "vel": Box(-1, 1, (2,))}))
    spaces.check_same_observations(one, Box(-1, 1, (3,)))
    spaces.check_same_observations(None, one)
    with pytest.raises(
        UserError, match=r"reads observations of pos \[1\], vel \[2\], and .* gives angle \[2\], speed \[1\]"
    ):
        spaces.check_same_observations(one, Dict({"speed": Box(-1, 1, (1,)), "angle": Box(-1, 1, (2,))}))
