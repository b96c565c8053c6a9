"""What went wrong in an environment: the line that raised, and what is no result of a reset or a step."""

import json
from collections.abc import Callable
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import torch

from softrl.data.envs import EnvConfig, make
from softrl.data.failures import place
from softrl.data.sources import build
from softrl.errors import UserError, own_traceback

HERE = "test_failures.py"


def line(function: Callable[..., Any], below: int = 1) -> int:
    """Number of a line below the first of a function."""
    return function.__code__.co_firstlineno + below


class Plant(gymnasium.Env[Any, Any]):
    """Returns what it is told to."""

    observation_space: Any = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def __init__(self, started: Any = (np.zeros(2), {}), moved: Any = (np.zeros(2), 0.0, False, False, {})) -> None:
        self.started, self.moved = started, moved

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.started

    def step(self, action: Any) -> Any:
        return self.moved


class Late(Plant):
    pressures: ClassVar[dict[str, float]] = {}

    def step(self, action: Any) -> Any:
        return self.pressures["valve"]

    def render(self) -> Any:
        raise NotImplementedError


def test_the_line_that_raised_is_named() -> None:
    env = make(Late)
    env.reset()
    with pytest.raises(UserError) as told:
        env.step(np.zeros(1))
    assert str(told.value) == f"the environment Late raised KeyError in step: 'valve' ({HERE}:{line(Late.step)})"
    assert 'return self.pressures["valve"]' in own_traceback(told.value)
    with pytest.raises(UserError) as told:
        env.render()
    assert str(told.value) == f"the environment Late raised NotImplementedError in render ({HERE}:{line(Late.render)})"


def test_it_is_the_innermost_that_belongs_to_no_library() -> None:
    def shaped() -> None:
        np.zeros(3).reshape(2, 2)

    def added() -> None:
        np.concatenate([np.zeros((2, 2)), np.zeros(3)])

    def drawn() -> None:
        gymnasium.spaces.Box(1.0, -1.0, (1, 2), seed=-1).sample()

    for fails in (shaped, added, drawn):
        with pytest.raises((ValueError, gymnasium.error.Error)) as raised:
            fails()
        assert place(raised.value) == f" ({HERE}:{line(fails)})"
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads("{")
    assert place(raised.value).startswith(" (decoder.py:")


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (np.zeros(2), "the environment Plant returned a ndarray from reset: return (observation, info)"),
        ((np.zeros(2), {}, 1), "the environment Plant returned 3 values from reset: return (observation, info)"),
        ((np.zeros(2), None), "the info that Plant returned from reset is None: let it be a dict"),
    ],
)
def test_what_is_no_result_of_a_reset(outcome: Any, sentence: str) -> None:
    with pytest.raises(UserError) as told:
        make(lambda: Plant(outcome)).reset()
    assert str(told.value) == sentence


STEP = "(observation, reward, terminated, truncated, info)"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({1: np.array([0.5])}, "the reward that Plant returned from step is array([0.5]): let it be one number"),
        ({1: "1"}, "the reward that Plant returned from step is '1': let it be one number"),
        ({1: None}, "the reward that Plant returned from step is None: let it be one number"),
        ({1: torch.ones(2)}, "the reward that Plant returned from step is tensor([1., 1.]): let it be one number"),
        ({2: np.array([True, False])}, "the terminated that Plant returned from step is array([ True, False]): let"),
        ({3: np.array([True, False])}, "the truncated that Plant returned from step is array([ True, False]): let"),
        ({4: None}, "the info that Plant returned from step is None: let it be a dict"),
        (None, f"the environment Plant returned 4 values from step: return {STEP}"),
        ({0: None}, "the environment gave an observation of 1 numbers, and its observation_space has 2"),
        ({0: {"a": 1}}, "the environment gave an observation that its observation_space does not describe (TypeError"),
    ],
)
def test_what_is_no_result_of_a_step(changes: dict[int, Any] | None, sentence: str) -> None:
    given = dict(enumerate((np.zeros(2), 0.0, False, False, {})))
    moved = tuple(given.values())[:4] if changes is None else tuple((given | changes).values())
    env = make(lambda: Plant(moved=moved), EnvConfig(repeat=2))
    env.reset()
    with pytest.raises(UserError) as told:
        env.step(np.zeros(1))
    assert str(told.value).startswith(sentence)


def test_an_entry_that_is_missing_is_named() -> None:
    class Arm(Plant):
        observation_space = gymnasium.spaces.Dict(angle=gymnasium.spaces.Box(-1.0, 1.0, (2,)))

    with pytest.raises(UserError, match=r"observation_space does not describe \(KeyError: 'angle'\): let both say"):
        make(lambda: Arm(({}, {}))).reset()


def test_what_a_wrapper_of_gymnasium_cannot_read_was_not_raised_by_the_environment() -> None:
    env = make(lambda: Plant(moved=(np.zeros(2), 0.0, False, {})), EnvConfig(time_limit=9))
    env.reset()
    with pytest.raises(UserError) as told:
        env.step(np.zeros(1))
    reason = "ValueError: not enough values to unpack (expected 5, got 4)"
    sentence = f"the environment Plant returned from step what Gymnasium cannot read ({reason}): return {STEP}"
    assert str(told.value) == sentence


def test_where_an_environment_is_made_the_line_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmade(**_: Any) -> Plant:
        raise KeyError("valve")

    spec = gymnasium.envs.registration.EnvSpec("Unmade-v0", entry_point=unmade)
    monkeypatch.setitem(gymnasium.registry, "Unmade-v0", spec)
    with pytest.raises(UserError, match=rf"^Unmade-v0 cannot be made: .* \({HERE}:{line(unmade)}\)$"):
        build("Unmade-v0", None, None)
