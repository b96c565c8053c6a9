"""Flat float32 observations, actions in [-1, 1], counted frames, failures in words."""

import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from softrl.data.wrappers import Brief, Flat, Frames, Spoken, UnitBox
from softrl.errors import UserError


class Line(gymnasium.Env[Any, Any]):
    """Counts its steps, which are its rewards; ends where it is told to."""

    def __init__(
        self,
        observation: Any = 0.0,
        observation_space: spaces.Space[Any] | None = None,
        action_space: spaces.Space[Any] | None = None,
        terminates: int = 0,
        truncates: int = 0,
    ) -> None:
        self.observation_space = observation_space or spaces.Box(-1, 1, ())
        self.action_space = action_space or spaces.Box(-1, 1, (1,))
        self.observation, self.ends, self.count = observation, (terminates, truncates), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.count = 0
        return self.observation, {"kept": True}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.count += 1
        self.acted = action
        return self.observation, float(self.count), self.count == self.ends[0], self.count == self.ends[1], {"kept": 1}


def test_repeat_adds_rewards_and_counts_frames() -> None:
    env = Frames(Line(), 3)
    assert env.reset()[1] == {"kept": True, "frames": 0}
    assert env.step(0)[1:] == (1 + 2 + 3, False, False, {"kept": 1, "frames": 3})
    assert env.step(0)[1:] == (4 + 5 + 6, False, False, {"kept": 1, "frames": 3})


def test_no_repeat_is_one_frame() -> None:
    env = Frames(Line(), 1)
    env.reset()
    assert env.step(0)[1:] == (1, False, False, {"kept": 1, "frames": 1})


@pytest.mark.parametrize(("end", "flags"), [("terminates", (True, False)), ("truncates", (False, True))])
def test_repeat_stops_at_the_end(end: str, flags: tuple[bool, bool]) -> None:
    line = Line(**{end: 5})
    env = Frames(line, 3)
    env.reset()
    env.step(0)
    assert env.step(0)[1:] == (4 + 5, *flags, {"kept": 1, "frames": 2})
    assert line.count == 5


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (spaces.Box(-9, 9, (2, 2), np.float64), np.arange(4.0).reshape(2, 2), [0, 1, 2, 3]),
        (spaces.Box(-9, 9, ()), np.float32(7), [7]),
        (spaces.Box(0, 255, (3,), np.uint8), np.array([1, 2, 255], np.uint8), [1, 2, 255]),
        (spaces.Discrete(3), 1, [0, 1, 0]),
        # Gymnasium sorts the entries of a plain dict: a before b, though b was given first
        (
            spaces.Dict({"b": spaces.Box(-9, 9, (2,)), "a": spaces.Box(-9, 9, ())}),
            {"b": np.array([1.0, 2.0]), "a": np.array(5.0)},
            [5, 1, 2],
        ),
        (
            spaces.Tuple([spaces.Box(-9, 9, (2,)), spaces.Box(-9, 9, (1,))]),
            (np.array([1.0, 2.0]), np.array([3.0])),
            [1, 2, 3],
        ),
    ],
)
def test_flat(space: spaces.Space[Any], observation: Any, expected: list[float]) -> None:
    env = Flat(Line(observation, space))
    flat = env.reset()[0]
    assert flat.dtype == np.float32
    assert flat.tolist() == expected
    assert env.observation_space == spaces.Box(-np.inf, np.inf, (len(expected),), np.float32)
    assert flat in env.observation_space


def test_flat_gives_new_arrays() -> None:
    kept = np.zeros(3, np.float32)
    assert not np.shares_memory(Flat(Line(kept, spaces.Box(-1, 1, (3,)))).reset()[0], kept)


def test_observations_of_another_size_than_declared_are_refused() -> None:
    with pytest.raises(UserError, match="gave an observation of 4 numbers, and its observation_space has 3"):
        Flat(Line(np.zeros(4, np.float32), spaces.Box(-1, 1, (3,)))).reset()


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Discrete(3), -1),
        (spaces.Discrete(3, start=1), 0),
        (spaces.MultiDiscrete([3, 3]), np.array([4, 1])),
        (spaces.MultiBinary(2), np.array([9, 9])),
        (spaces.Dict(room=spaces.Discrete(2), at=spaces.Box(-1, 1, (2,))), {"room": 5, "at": np.zeros(2)}),
    ],
)
def test_a_choice_that_there_is_not_is_no_other_one(space: spaces.Space[Any], observation: Any) -> None:
    """Gymnasium counts it from the end, or into the numbers of the next choice."""
    env = Line()
    env.observation_space = space
    with pytest.raises(UserError, match=r"does not describe \(ValueError: .* is not in (Multi)?(Discrete|Binary)\("):
        Flat(env).observation(observation)


def test_observations_without_a_size_are_refused() -> None:
    with pytest.raises(UserError, match="Sequence has no fixed size"):
        Flat(Line((), spaces.Sequence(spaces.Box(-1, 1, ()))))


def test_actions_by_hand() -> None:
    box = spaces.Box(np.array([[0.0, -2.0]], np.float64), np.array([[10.0, 4.0]], np.float64), dtype=np.float64)
    line = Line(action_space=box)
    env = UnitBox(line)
    assert env.action_space == spaces.Box(-1, 1, (2,), np.float32)
    for unit, own in [([-1, 1], [[0, 4]]), ([0, 0], [[5, 1]]), ([0.5, -0.5], [[7.5, -0.5]]), ([-2, 9], [[0, 4]])]:
        env.step(np.array(unit, np.float32))
        assert line.acted.tolist() == own
        assert line.acted.dtype == np.float64


def test_whole_numbers() -> None:
    line = Line(action_space=spaces.Box(0, 4, (1,), np.int64))
    UnitBox(line).step(np.array([0.3], np.float32))
    assert line.acted.tolist() == [3]  # 2 + 2 * 0.3 = 2.6
    assert line.acted.dtype == np.int64


@pytest.mark.parametrize("action", [1, np.int64(1), [0.5, 0.5], np.zeros((1, 3))])
def test_what_is_no_vector_of_an_agent_is_refused(action: Any) -> None:
    """An answer of `predict` is the environment's own action."""
    env = UnitBox(Line(action_space=spaces.Discrete(3)))
    with pytest.raises(UserError, match=r"take vectors \[\d\], and this one was given .*: env\.action_space\.encode"):
        env.step(action)


@given(arrays.arrays(np.float32, 3, elements=st.floats(-1, 1, width=32)))
def test_a_unit_box_is_untouched(action: np.ndarray) -> None:
    line = Line(action_space=spaces.Box(-1, 1, (3,), np.float32))
    UnitBox(line).step(action)
    np.testing.assert_array_equal(line.acted, action)


@given(
    arrays.arrays(np.float32, 2, elements=st.floats(-1, 1, width=32)),
    st.floats(-100, 100, width=32),
    st.floats(0, 100, width=32),
)
def test_actions_stay_in_their_box(action: np.ndarray, low: float, size: float) -> None:
    box = spaces.Box(low, low + size, (2,), np.float32)
    line = Line(action_space=box)
    UnitBox(line).step(action)
    assert line.acted in box


@pytest.mark.parametrize(
    ("space", "flat", "own"),
    [
        (spaces.Discrete(3, start=2), [0, 0.2, 0.1], np.int64(3)),
        (spaces.MultiDiscrete([2, 3]), [0, 1, 1, 0, 0], np.array([1, 0])),
        (spaces.Tuple([spaces.Box(0, 4, (1,)), spaces.Discrete(2)]), [0, 1, 0.5], (np.array([3.0]), np.int64(1))),
    ],
)
def test_choices_reach_the_environment_as_it_declares_them(
    space: spaces.Space[Any], flat: list[float], own: Any
) -> None:
    line = Line(action_space=space)
    env = UnitBox(line)
    assert env.action_space.shape == (len(flat),)
    env.step(np.array(flat, np.float32))
    assert line.acted in space
    assert type(line.acted) is type(own)
    np.testing.assert_equal(line.acted, own)


def test_spaces_without_a_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"Text.* has no fixed size"):
        UnitBox(Line(action_space=spaces.Text(3)))


def test_infinite_bounds_are_refused_with_advice() -> None:
    with pytest.raises(UserError, match=r"infinite bounds: bound it, .*TransformAction"):
        UnitBox(Line(action_space=spaces.Box(-np.inf, 1, (2,))))


class Told(Line):
    """Says more than training reads."""

    def step(self, action: Any) -> Any:
        *outcome, _ = super().step(action)
        return *outcome, {"success": np.bool_(self.count == 2), "debug": object()}


def test_only_what_training_reads_is_told() -> None:
    env = Brief(Frames(Told(), 1))
    assert env.reset()[1] == {"frames": 0}
    assert env.step(0)[4] == {"frames": 1, "is_success": 0.0}
    assert env.step(0)[4] == {"frames": 1, "is_success": 1.0}
    silent = Brief(Frames(Line(), 2))
    silent.reset()
    assert silent.step(0)[4] == {"frames": 2}


@pytest.mark.parametrize("said", [None, "yes", np.array([True, False])], ids=["none", "text", "several"])
def test_a_success_that_is_no_number(said: Any) -> None:
    class Odd(Line):
        def step(self, action: Any) -> Any:
            *outcome, _ = super().step(action)
            return *outcome, {"success": said}

    env = Brief(Frames(Odd(), 1))
    env.reset()
    if said is None:
        assert env.step(0)[4] == {"frames": 1}
    else:
        with pytest.raises(UserError, match=r"info\['success'\] is .* let it be one number or truth value"):
            env.step(0)


class Broken(Line):
    """Fails at each turn."""

    def reset(self, **_: Any) -> Any:
        raise ValueError("no\n  start.")

    def step(self, action: Any) -> Any:
        raise UserError("already said")

    def render(self) -> Any:
        raise RuntimeError("no picture")


def test_failures_are_told_in_one_sentence() -> None:
    env = Spoken(Broken())
    with pytest.raises(UserError) as told:
        env.reset()
    assert str(told.value).startswith("the environment Broken raised ValueError in reset: no start (test_wrappers.py:")
    assert isinstance(told.value.__cause__, ValueError)
    with pytest.raises(UserError, match="already said"):
        env.step(0)
    with pytest.raises(UserError, match="raised RuntimeError in render: no picture"):
        env.render()


class Quitting(Line):
    """Ends the process instead of an episode, and cannot be closed."""

    def step(self, action: Any) -> Any:
        sys.exit(0)

    def close(self) -> None:
        raise RuntimeError("no window")


def test_what_would_end_the_process_is_told() -> None:
    with pytest.raises(UserError, match="the environment Quitting raised SystemExit in step: 0"):
        Spoken(Quitting()).step(0)


def test_a_failure_to_close_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="the environment Quitting raised RuntimeError in close: no window"):
        Spoken(Quitting()).close()


def test_observations_of_another_shape_than_declared_are_refused() -> None:
    declared = spaces.Box(-1, 1, (2, 3))
    with pytest.raises(UserError, match=r"of shape \[3, 2\], and its observation_space has \[2, 3\]"):
        Flat(Line(np.zeros((3, 2), np.float32), declared)).reset()
    assert Flat(Line(np.zeros((1, 2, 3), np.float32), declared)).reset()[0].shape == (6,)
