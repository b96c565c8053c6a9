"""Every nest of spaces is one flat vector and back, and what an environment gets is in its space."""

import pickle
import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from hypothesis import given, strategies as st

from softrl.data.spaces import FlatActions
from softrl.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.integers(1, 3), max_size=2).map(tuple)


@st.composite
def boxes(draw: Any) -> spaces.Box:
    dtype = draw(st.sampled_from([np.float32, np.float64, np.int64, np.uint8]))
    low = draw(st.integers(0, 100)) if dtype is np.uint8 else draw(st.integers(-100, 100))
    return spaces.Box(low, low + draw(st.integers(0, 100)), draw(SHAPES), dtype)


@st.composite
def multi_discretes(draw: Any) -> spaces.MultiDiscrete:
    sizes = np.array(draw(st.lists(st.integers(2, 5), min_size=1, max_size=4)))
    shape = draw(st.sampled_from([(-1,), (1, -1)]))
    start = np.array(draw(st.lists(st.integers(-5, 5), min_size=len(sizes), max_size=len(sizes))))
    dtype = draw(st.sampled_from([np.int64, np.int32]))
    return spaces.MultiDiscrete(sizes.reshape(shape), dtype=dtype, start=start.reshape(shape))


LEAVES = st.one_of(
    boxes(),
    multi_discretes(),
    st.builds(spaces.Discrete, st.integers(2, 6), start=st.integers(-3, 3)),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 3), st.lists(st.integers(1, 3), min_size=1, max_size=2))),
)
NESTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("zyxabc"), inner, min_size=1, max_size=3).map(spaces.Dict),
    ),
    max_leaves=6,
)


def vector(flat: FlatActions, seed: int) -> np.ndarray:
    """One-hots and numbers in [-1, 1]."""
    rng = np.random.default_rng(seed)
    one_hots = [np.eye(size)[rng.integers(size)] for size in flat.choices]
    return np.concatenate([*one_hots, rng.uniform(-1, 1, flat.continuous)]).astype(np.float32)


def assert_same(one: Any, other: Any) -> None:
    """The same nest of arrays of the same types and shapes, floats up to rounding."""
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = tuple(one.values()), tuple(other.values())
    if isinstance(one, tuple):
        assert type(other) is tuple
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
        return
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@given(NESTS, SEEDS)
def test_any_vector_is_an_action_of_the_space(space: spaces.Space[Any], seed: int) -> None:
    flat = FlatActions(space)
    for wild in (vector(flat, seed), np.random.default_rng(seed).normal(size=flat.shape).astype(np.float32) * 3):
        assert flat.decode(wild) in space


@given(NESTS, SEEDS)
def test_an_action_comes_back_from_its_vector(space: spaces.Space[Any], seed: int) -> None:
    space.seed(seed % 2**31)
    flat, action = FlatActions(space), space.sample()
    encoded = flat.encode(action)
    assert encoded in flat
    assert_same(flat.decode(encoded), action)
    np.testing.assert_allclose(flat.encode(flat.decode(encoded)), encoded, atol=1e-6)


@given(NESTS, SEEDS)
def test_the_choices_of_a_vector_come_back_from_its_action(space: spaces.Space[Any], seed: int) -> None:
    flat = FlatActions(space)
    given = vector(flat, seed)
    chosen = sum(flat.choices)
    np.testing.assert_array_equal(flat.encode(flat.decode(given))[:chosen], given[:chosen])


@given(st.floats(-100, 100, width=32), st.floats(0.0625, 100, width=32), SEEDS)
def test_the_numbers_of_a_vector_come_back_from_its_action(low: float, size: float, seed: int) -> None:
    flat = FlatActions(spaces.Box(low, low + size, (3,), np.float64))
    given = vector(flat, seed)
    np.testing.assert_allclose(flat.encode(flat.decode(given)), given, atol=1e-6)


@given(NESTS, SEEDS, st.integers(1, 3))
def test_many_actions_are_what_vector_environments_take_apart(space: spaces.Space[Any], seed: int, count: int) -> None:
    flat = FlatActions(space)
    rows = np.stack([vector(flat, (seed + i) % 2**32) for i in range(count)])
    batch = flat.batch(rows)
    assert batch in batch_space(space, count)
    apart = list(iterate(batch_space(space, count), batch))
    assert len(apart) == count
    for one, row in zip(apart, rows, strict=True):
        assert_same(one, flat.decode(row))


@given(boxes().filter(lambda box: box.dtype.kind == "f"), SEEDS)
def test_numbers_are_rescaled_in_float64_bit_for_bit(box: spaces.Box, seed: int) -> None:
    """What continuous runs have always sent to their environments."""
    flat = FlatActions(box)
    unit, low, high = vector(flat, seed), box.low.astype(np.float64).ravel(), box.high.astype(np.float64).ravel()
    expected = np.clip(unit * ((high - low) / 2) + (low + high) / 2, low, high)
    np.testing.assert_array_equal(flat.decode(unit), expected.astype(box.dtype).reshape(box.shape))


def test_by_hand() -> None:
    """Choices of all entries first, in the order of the space, then the numbers of all entries."""
    space = spaces.Dict(
        b=spaces.Tuple([spaces.Box(0, 10, (1,)), spaces.MultiDiscrete([[2, 3]], start=[[1, -1]])]),
        a=spaces.Discrete(3, start=5),
        c=spaces.Box(-4, 4, (), np.int64),
    )
    assert list(space) == ["b", "a", "c"]
    flat = FlatActions(space)
    assert (flat.choices, flat.continuous, flat.shape) == ((2, 3, 3), 2, (10,))
    vector = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0.5, -0.6], np.float32)
    action = flat.decode(vector)
    assert action["a"] == 5
    assert type(action["a"]) is np.int64
    assert action["b"][0].tolist() == [7.5]
    assert action["b"][1].tolist() == [[2, 1]]
    assert (action["c"].shape, action["c"].dtype, int(action["c"])) == ((), np.int64, -2)
    np.testing.assert_allclose(flat.encode(action), [0, 1, 0, 0, 1, 1, 0, 0, 0.5, -0.5])


def test_the_space_of_vectors() -> None:
    flat = FlatActions(spaces.Tuple([spaces.Box(-3, 9, (2,)), spaces.Discrete(2)]))
    assert flat.low.tolist() == [0, 0, -1, -1]
    assert flat.high.tolist() == [1] * 4
    assert FlatActions(spaces.Box(-3, 9, (2, 1))) == spaces.Box(-1, 1, (2,), np.float32)
    again = pickle.loads(pickle.dumps(flat))
    assert again == flat
    assert (again.choices, again.continuous) == ((2,), 2)


def test_the_largest_of_a_one_hot_is_chosen_and_the_first_of_equals() -> None:
    flat = FlatActions(spaces.MultiDiscrete([3, 2]))
    assert flat.decode(np.array([-5, -1, -2, 0, 0], np.float32)).tolist() == [1, 0]


def test_bits() -> None:
    flat = FlatActions(spaces.MultiBinary((2, 1)))
    assert flat.choices == (2, 2)
    action = flat.decode(np.array([0, 1, 1, 0], np.float32))
    assert (action.tolist(), action.dtype) == ([[1], [0]], np.int8)
    box = spaces.Box(np.array([False]), np.array([True]), dtype=np.bool_)
    assert [FlatActions(box).decode(np.array([a], np.float32)).tolist() for a in (-0.1, 0.1)] == [[False], [True]]


def test_the_widest_integers_keep_their_bounds() -> None:
    flat = FlatActions(spaces.Box(-(2**53), 2**53, (2,), np.int64))
    assert flat.decode(np.array([-1.0, 1.0], np.float32)).tolist() == [-(2**53), 2**53]


def test_many_of_the_usual_spaces() -> None:
    assert FlatActions(spaces.Discrete(3, start=1)).batch(np.eye(3, dtype=np.float32)).tolist() == [1, 2, 3]
    assert FlatActions(spaces.Box(0, 2, (1,))).batch(np.array([[-1.0], [0.5]])).tolist() == [[0], [1.5]]
    both = FlatActions(spaces.Dict(g=spaces.Discrete(2), t=spaces.Box(0, 2, (1,))))
    batch = both.batch(np.array([[0, 1, 0.5], [1, 0, -1]], np.float32))
    assert {name: value.tolist() for name, value in batch.items()} == {"g": [1, 0], "t": [[1.5], [0]]}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (spaces.Text(3), r"Text\(.*\) has no fixed size: wrap .* Discrete"),
        (spaces.Graph(spaces.Discrete(2), None), "Graph.* has no fixed size: wrap .* largest graph"),
        (spaces.Sequence(spaces.Discrete(2)), "Sequence.* has no fixed length: wrap .* greatest length"),
        (spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1)]), "OneOf.* is one of several spaces: wrap .* Tuple"),
        (spaces.Space((1,), np.float32), "is of a kind unknown here: wrap"),
        (spaces.Box(-np.inf, 1, (2,)), r"infinite bounds: bound it, .*TransformAction"),
        (spaces.Box(-np.inf, np.inf, (2,), np.int64), "infinite bounds"),
        (spaces.Box(-3.4e38, 3.4e38, (1,), np.float32), r"bounds beyond 2\^53.*: bound it, .*TransformAction"),
        (spaces.Box(-(2**63), 2**63 - 1, (1,), np.int64), r"bounds beyond 2\^53"),
        (spaces.Box(0, 1, (0,)), "is empty: leave it out"),
        (spaces.Tuple([]), "is empty: leave it out"),
        (spaces.Dict({}), "is empty: leave it out"),
        (spaces.MultiDiscrete([]), "is empty: leave it out"),
        (spaces.Discrete(1), r"Discrete\(1\) has a choice of one option, which is none: wrap"),
        (spaces.MultiDiscrete([[2, 1], [2, 2]]), r"MultiDiscrete\(\[\[2 1\] \[2 2\]\]\) has a choice of one option"),
    ],
)
def test_refusals(space: spaces.Space[Any], sentence: str) -> None:
    for nest in (space, spaces.Tuple([spaces.Box(0, 1), spaces.Dict(entry=space)])):
        with pytest.raises(UserError, match=sentence) as told:
            FlatActions(nest)
        assert "\n" not in str(told.value)


def test_the_advice_on_infinite_bounds_works() -> None:
    """Followed to the letter."""
    with pytest.raises(UserError) as told:
        FlatActions(spaces.Box(-np.inf, np.inf, (1,), np.float32))
    advice = re.search(r"gymnasium\.wrappers\.TransformAction\(.*\)", str(told.value))
    assert advice
    wrapped = eval(advice[0], {"gymnasium": gymnasium, "env": gymnasium.make("Pendulum-v1"), "shape": (1,)})
    assert FlatActions(wrapped.action_space).continuous == 1


@pytest.mark.parametrize(
    ("space", "action", "words"),
    [
        (spaces.Box(-1, 1, (2,)), np.zeros(1), "1 numbers where there are 2"),
        (spaces.Box(0, 2000, (1,)), np.array([-0.5]), "-0.5 lies outside"),
        (spaces.Discrete(3), -1, "no choice"),
        (spaces.Discrete(3), 1.7, "no choice"),
        (spaces.Discrete(3, start=1), 0, "no choice"),
        (spaces.MultiDiscrete([3, 3]), [3, 1], "no choice"),
        (spaces.MultiDiscrete([3, 3]), [1], "no choice"),
        (spaces.Dict({"g": spaces.Discrete(3)}), {"g": 3}, "no choice"),
    ],
    ids=str,
)
def test_what_is_no_action_is_refused(space: Any, action: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FlatActions(space).encode(action)


def test_bounds_are_kept_up_to_rounding() -> None:
    assert FlatActions(spaces.Box(-1, 1, (1,))).encode(np.array([1.0000001])) == 1.0
