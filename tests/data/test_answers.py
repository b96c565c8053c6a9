"""What environments return as their state comes back as it was, or is refused in one sentence."""

import json
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch

from softrl.data.answers import packed, unpacked
from softrl.errors import UserError
from softrl.run.state import join, split, to_json

ANSWER = {
    "plain": [None, True, 3, 0.1, "text"],
    "array": np.arange(6.0).reshape(2, 3)[:, 1:],
    "tensor": torch.arange(3),
    "tuple": (1, (2.5, [np.zeros(2, np.uint8)]), ()),
    "numbers": [np.int64(-3), np.float32(0.1), np.bool_(True), np.float64(0.2)],
}


def test_what_goes_in_comes_out() -> None:
    plain, arrays = split(packed(ANSWER, "Mine"))
    out: Any = unpacked(join(json.loads(to_json(plain)), arrays))
    assert out["plain"] == ANSWER["plain"]
    assert (out["array"] == ANSWER["array"]).all()
    assert torch.equal(out["tensor"], torch.arange(3))
    assert str(out["tuple"]) == str(ANSWER["tuple"])  # tuples and lists where they were
    assert [(type(value), value) for value in out["numbers"]] == [(type(value), value) for value in ANSWER["numbers"]]


def test_what_older_versions_saved_is_read_as_it_is() -> None:
    state = {"state": np.ones(2), "rng": {"bit_generator": "PCG64", "state": {"state": 2**100}}}
    assert unpacked(state) == state | {"state": unpacked(state)["state"]}
    assert unpacked(state)["state"] is state["state"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (iter([1]), "holds a list_iterator at 'a/1': return arrays and plain values"),
        (np.array([{}]), "holds a ndarray of object at 'a/1': return"),
        (np.zeros(2, complex), "holds a ndarray of complex128 at 'a/1': return"),
        (np.longdouble(1), "holds a longdouble at 'a/1': return"),
        (namedtuple("Place", "x")(1), "holds a Place at 'a/1': return"),
        ({3: 1}, "holds the key 3 at 'a/1': name entries by strings"),
        ({"$tuple": []}, r"holds the key '\$tuple' at 'a/1'"),
    ],
)
def test_anything_else_is_refused(value: Any, words: str) -> None:
    with pytest.raises(UserError, match=rf"^Mine\.snapshot\(\) {words}"):
        packed({"a": [0, value]}, "Mine")
