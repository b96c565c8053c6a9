"""Plain data comes back equal, shared where it was shared; anything else is refused."""

import json
import random
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from gymnasium.wrappers.utils import RunningMeanStd
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from softrl.data.constants import constant
from softrl.data.plain import DEEPEST, OpaqueError, Packer, Unpacker
from softrl.data.spaces import FlatActions

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
dtypes = st.sampled_from([np.bool_, np.int8, np.uint32, np.int64, np.float16, np.float32, np.float64])
leaves = scalars | dtypes.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0)))
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def through_json(packed: Any) -> Any:
    """The packed state as a checkpoint keeps it: arrays apart, the rest as JSON with string keys."""
    kept: list[np.ndarray] = []

    def take(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            kept.append(value.copy())
            return {"array": len(kept) - 1}
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            return {key: take(item) for key, item in value.items()}
        assert type(value) in (type(None), bool, int, float, str)
        return value

    def give(value: Any) -> Any:
        if isinstance(value, dict):
            return (
                kept[value["array"]] if value.keys() == {"array"} else {key: give(item) for key, item in value.items()}
            )
        return value

    return give(json.loads(json.dumps(take(packed))))


def round_trip(attributes: dict[str, Any]) -> dict[str, Any]:
    into: dict[str, Any] = {}
    Unpacker().attributes(through_json(Packer().attributes(attributes)), into)
    return into


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple | deque):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@given(st.dictionaries(st.text(max_size=3), values, max_size=4))
def test_what_goes_in_comes_out(attributes: dict[str, Any]) -> None:
    assert same(round_trip(attributes), attributes)


@pytest.mark.parametrize("value", [np.float32(0.1), np.int64(-3), np.bool_(True), float("inf"), 2**200])
def test_numbers_keep_their_type(value: Any) -> None:
    [out] = round_trip({"value": value}).values()
    assert type(out) is type(value)
    assert out == value


def test_generators_go_on() -> None:
    generators = {
        "new": np.random.default_rng(1),
        "philox": np.random.Generator(np.random.Philox(2)),
        "old": np.random.RandomState(3),
        "python": random.Random(4),
    }
    generators["old"].normal()  # leaves half a pair behind
    generators["new"].integers(10, dtype=np.int32)  # and half a word
    again = round_trip(generators)
    for name in ("new", "philox", "old"):
        np.testing.assert_array_equal(again[name].normal(size=9), generators[name].normal(size=9))
    assert again["python"].random() == generators["python"].random()


def test_a_deque_keeps_its_bound() -> None:
    assert round_trip({"frames": deque([1, 2], 2)})["frames"].maxlen == 2


def test_what_was_shared_is_shared_again() -> None:
    array, rng = np.zeros(3), np.random.default_rng(0)
    out = round_trip({"a": array, "b": [array, {"rng": rng}], "c": np.zeros(3), "rng": rng})
    assert out["a"] is out["b"][0]
    assert out["a"] is not out["c"]
    assert out["rng"] is out["b"][1]["rng"]


def test_sharing_reaches_over_objects() -> None:
    rng = np.random.default_rng(0)
    packer, unpacker = Packer(), Unpacker()
    first, second = ({"x": {"deep": [1.5]}, "rng": rng}, {"own": rng, "y": [2.5]})
    packed = [packer.attributes(first), packer.attributes(second)]
    out: list[dict[str, Any]] = [{}, {}]
    for state, into in zip(packed, out, strict=True):
        unpacker.attributes(state, into)
    assert out[0]["rng"] is out[1]["own"]
    assert out[1]["y"] == [2.5]


def test_attributes_that_were_not_there_go_away() -> None:
    into = {"old": 1, "kept": Box(-1, 1), "skipped": 2}
    box = into["kept"]
    Unpacker().attributes({"new": 3}, into, skip=["skipped"])
    assert into == {"new": 3, "kept": box, "skipped": 2}


def test_the_packed_state_does_not_move() -> None:
    array = np.zeros(2)
    packed = Packer().attributes({"a": array})
    array += 1
    out: dict[str, Any] = {}
    unpacker = Unpacker()
    unpacker.attributes(packed, out)
    out["a"] += 5
    Unpacker().attributes(packed, out)
    assert out["a"].tolist() == [0, 0]


class Thing:
    """Anything."""


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


whole = np.arange(6.0)


@pytest.mark.parametrize(
    "attributes",
    [
        {"thing": Thing()},
        {"things": [Thing()]},
        {"method": Thing().__str__},
        {"generator": iter([1, 2])},
        {"array": np.array([Thing()])},
        {"array": np.zeros(2, complex)},
        {"whole": whole, "part": whole[2:4]},
        {"part": whole[:3], "other": whole[2:]},
        {"foreign": np.frombuffer(bytearray(8))},
        {"circle": circle()},
        {"function": (lambda thing: lambda: thing)(Thing())},
        {"global": [random.random]},
        {"shared": {"rng": np.random.random.__self__}},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_what_may_hold_state_is_refused(attributes: dict[str, Any]) -> None:
    with pytest.raises(OpaqueError):
        Packer().attributes(attributes)


def bound_to(generator: Any, name: str) -> dict[str, Any]:
    return {"rng": generator, "roll": getattr(generator, name), "rolls": [getattr(generator, name)]}


@pytest.mark.parametrize(
    ("generator", "name"),
    [(random.Random(3), "random"), (random.Random(3), "gauss"), (np.random.default_rng(3), "normal")],
    ids=["builtin", "method", "numpy"],
)
def test_methods_of_generators_are_bound_to_what_was_unpacked(generator: Any, name: str) -> None:
    attributes = bound_to(generator, name)
    attributes["roll"]()
    into = bound_to(type(generator)() if name != "normal" else np.random.default_rng(), name)  # that of another process
    Unpacker().attributes(through_json(Packer().attributes(attributes)), into)
    for draw in (lambda of: of["roll"](), lambda of: of["rolls"][0](), lambda of: getattr(of["rng"], name)()):
        assert draw(into) == draw(attributes)


def test_spaces_get_their_generators_back() -> None:
    def made(seed: int) -> dict[str, Any]:
        inner = Tuple([Box(-1, 1, (2,)), Discrete(9)])
        space = Dict({"a": inner, "b": Box(0, 1)}, seed=seed)
        return {"space": space, "again": space, "part": inner, "rng": space.np_random, "still": Box(0, 1)}

    attributes, into = made(1), made(2)
    attributes["space"].sample()
    kept = dict(into)
    Unpacker().attributes(through_json(Packer().attributes(attributes)), into)
    assert all(into[name] is kept[name] for name in ("space", "again", "part", "still"))
    assert str(into["space"].sample()) == str(attributes["space"].sample())
    assert str(into["part"].sample()) == str(attributes["part"].sample())
    assert into["rng"].normal() == attributes["rng"].normal()
    assert into["still"]._np_random is None


def test_a_state_from_before_methods_were_packed_takes_none_away() -> None:
    into = bound_to(random.Random(3), "random") | {"settings": Holding([1])}
    Unpacker().attributes({"rng": Packer().value(random.Random(4))}, into)
    assert into["roll"]() == random.Random(3).random()
    assert into["settings"] == Holding([1])


@dataclass(frozen=True)
class Holding:
    items: list[int]


@dataclass(frozen=True)
class Frozen:
    size: int = 1


@dataclass
class Thawed:
    size: int = 1


def test_constants() -> None:
    scale = 3.0
    for value in (Box(-1, 1), Frozen(), Thing, np, len, test_constants, lambda x: x * scale):
        assert constant(value)
    for value in (random.random, random.gauss, np.random.normal, random.random.__self__, dict.fromkeys):  # global
        assert constant(value)
    seeded = Box(-1, 1, seed=3)

    def remembering(found: list[int] = []) -> None:  # noqa: B006
        """Keeps what it is given as long as it is there."""

    for value in (Thawed(), Thing(), 1, [1], Holding([1]), random.Random(3).random, [].append, remembering):
        assert not constant(value)
    for value in (seeded, Dict({"a": seeded}), lambda: seeded, FlatActions(seeded)):
        assert not constant(value)


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def test_what_lies_too_deep_for_a_checkpoint_is_refused() -> None:
    from softrl.run.state import join, split  # imports torch, which the workers do without

    packed = Packer().attributes({"deep": nested(DEEPEST), "flat": nested(2)})
    assert join(*split(packed)) == packed
    with pytest.raises(OpaqueError, match="deep"):
        Packer().attributes({"deep": nested(DEEPEST + 1)})


def test_statistics_of_normalising_wrappers_come_back() -> None:
    kept = RunningMeanStd(shape=(2,))
    kept.update(np.array([[1.0, 2.0], [3.0, 6.0]]))
    again = round_trip({"obs_rms": kept})["obs_rms"]
    assert type(again) is RunningMeanStd
    assert (again.mean.tolist(), again.var.tolist(), again.count) == (kept.mean.tolist(), kept.var.tolist(), kept.count)
