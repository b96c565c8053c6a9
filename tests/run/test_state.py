"""State to arrays and plain values and back: exact, and loud about what it cannot keep."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import torch as safetensors

from softrl.run.state import join, split, to_json

DTYPES = [np.bool_, np.uint8, np.int8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float32, np.float64]
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
leaves = st.one_of(plain, arrays, arrays.map(torch.from_numpy), st.lists(plain, max_size=3))
keys = st.one_of(st.sampled_from(["a", "a/b", "b", "~", "~1", "/", "", "a~b"]), st.text(max_size=4))
states = st.dictionaries(keys, st.recursive(leaves, lambda s: st.dictionaries(keys, s, max_size=3)), max_size=4)


def round_trip(state):
    """Through the bytes that a checkpoint holds."""
    value, tensors = split(state)
    return join(json.loads(to_json(value)), safetensors.load(safetensors.save(tensors)))


def same(a, b):
    """Equal in type, dtype, shape and every bit."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        same(a.numpy(), b.numpy())
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, float):
        assert (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    else:
        assert a == b


@given(states)
def test_round_trip_is_exact(state):
    same(state, round_trip(state))


def test_keys_with_slashes_do_not_collide():
    state = {"a/b": torch.tensor(1), "a": {"b": torch.tensor(2)}, "a~1b": torch.tensor(3)}
    _, tensors = split(state)
    assert sorted(tensors) == ["a/b", "a~01b", "a~1b"]
    same(state, round_trip(state))


def test_bfloat16_and_noncontiguous_views_and_shared_memory():
    base = torch.arange(12, dtype=torch.bfloat16).reshape(3, 4)
    back = round_trip({"transposed": base.T, "row": base[1], "all": base})
    assert back["transposed"].dtype == torch.bfloat16
    assert torch.equal(back["transposed"], base.T)
    assert torch.equal(back["row"], base[1])


def test_list_of_dicts_with_arrays():
    state = {"environments": [{"qpos": np.arange(3.0)}, {"qpos": np.arange(2)}]}
    same(state, round_trip(state))


def test_snapshot_does_not_follow_the_original():
    weight, counter = torch.zeros(2), np.zeros(2)
    value, tensors = split({"w": weight, "c": counter})
    weight += 1
    counter += 1
    back = join(value, tensors)
    assert back["w"].sum() == 0
    assert back["c"].sum() == 0


def test_arrays_that_come_back_can_be_written():
    back = round_trip({"a": np.zeros(3), "t": torch.zeros(3)})
    back["a"][0] = 1
    back["t"][0] = 1


@pytest.mark.parametrize(
    ("state", "named"),
    [
        ({"a": {"b": object()}}, "'a/b'"),
        ({"a": (1, 2)}, "tuple"),
        ({"a": {1: 2}}, "key 1"),
        ({"a": {"$array": 1}}, "$array"),
        ({"a": np.float32(1)}, "float32"),
    ],
)
def test_refuses_what_would_not_come_back(state, named):
    with pytest.raises(TypeError) as error:
        split(state)
    assert named in str(error.value)
