"""State of Python objects made of plain data: numbers, strings, arrays, containers and random generators."""

import random
from collections import deque
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, MethodType
from typing import Any

import numpy as np
from gymnasium.spaces import Space
from gymnasium.wrappers.utils import RunningMeanStd

from softrl.data.constants import SCALARS, constant, drawn, frozen, nested, shared

Packed = dict[str, Any]
Parts = dict[str, Any]

CONSTANT_NAMES = (
    "metadata",
    "_metadata",
    "spec",
    "_cached_spec",
    "_saved_kwargs",
    "_ezpickle_args",
    "_ezpickle_kwargs",
)
"""What constructors were given, and what wrappers derive from it."""

DEEPEST = 100
"""How many packed objects may lie in each other: a checkpoint is written and read in recursions of four calls each."""


class OpaqueError(Exception):
    """An object that may hold state which cannot be read."""


def numbered(items: Collection[Any]) -> Parts:
    """Items under their position."""
    return {str(i): item for i, item in enumerate(items)}


def generator(parts: Parts) -> np.random.Generator:
    """NumPy's generator, over the bits it had."""
    bits = getattr(np.random, parts["bits"])()
    bits.state = parts["state"]
    return np.random.Generator(bits)


def legacy_generator(parts: Parts) -> np.random.RandomState:
    """NumPy's old generator."""
    made = np.random.RandomState()
    made.set_state(parts["state"])
    return made


def python_generator(parts: Parts) -> random.Random:
    """Python's generator."""
    made = random.Random()
    made.setstate(parts["state"])
    return made


def statistics(parts: Parts) -> RunningMeanStd:
    """What Gymnasium's normalising wrappers keep of what they saw."""
    made = RunningMeanStd()
    made.mean, made.var, made.count = parts["mean"], parts["var"], parts["count"]
    return made


def bound(method: Any) -> Parts:
    """A method of an object that is packed as well, such as a generator."""
    return {"of": method.__self__, "name": method.__name__}


def method(parts: Parts) -> Any:
    """The method of the object that was unpacked."""
    return getattr(parts["of"], parts["name"])


KINDS: dict[type, tuple[Callable[[Any], Parts], Callable[[Parts], Any]]] = {
    list: (numbered, lambda parts: list(parts.values())),
    tuple: (numbered, lambda parts: tuple(parts.values())),
    deque: (
        lambda value: {"items": list(value), "length": value.maxlen},
        lambda parts: deque(parts["items"], parts["length"]),
    ),
    dict: (
        lambda value: {"keys": list(value.keys()), "values": list(value.values())},
        lambda parts: dict(zip(parts["keys"], parts["values"], strict=True)),
    ),
    np.random.Generator: (
        lambda value: {"bits": type(value.bit_generator).__name__, "state": value.bit_generator.state},
        generator,
    ),
    np.random.RandomState: (lambda value: {"state": value.get_state(legacy=False)}, legacy_generator),
    random.Random: (lambda value: {"state": value.getstate()}, python_generator),
    RunningMeanStd: (lambda value: {"mean": value.mean, "var": value.var, "count": value.count}, statistics),
    BuiltinFunctionType: (bound, method),
    MethodType: (bound, method),
}
"""Of each type what takes its parts, of any type in this table or scalars, and what makes it of these parts."""
NAMES = {kind.__name__: kind for kind in KINDS}


def changing(attributes: dict[str, Any], skip: Collection[str]) -> list[str]:
    """Names of the attributes that may hold state, but for spaces, which stay and only get their generators back."""
    return [
        name
        for name, value in attributes.items()
        if name not in skip and name not in CONSTANT_NAMES and not isinstance(value, Space) and not constant(value)
    ]


def storable(dtype: np.dtype[Any]) -> bool:
    """Whether a checkpoint can hold arrays of this type."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8 and dtype.isnative


class Packer:
    """Packs attributes of several objects; what they share is shared again after unpacking.

    Raises OpaqueError for a value of any other type, and for arrays that overlap without being the same array: views
    cannot be tied together again.
    """

    def __init__(self) -> None:
        self.order: dict[int, int | None] = {}  # how many objects were packed before this one, None while it is open
        self.alive: list[Any] = []  # what was seen, so that no identity is used twice
        self.arrays: list[np.ndarray] = []
        self.packed = self.depth = 0

    def attributes(self, attributes: dict[str, Any], skip: Collection[str] = ()) -> Packed:
        """An object's changing attributes and the generators of its spaces, but for those named in `skip`."""
        packed = {name: self.value(attributes[name]) for name in changing(attributes, skip)}
        spaces = {name: value for name, value in attributes.items() if name not in skip and isinstance(value, Space)}
        return packed | {name: self.space(value) for name, value in spaces.items() if drawn(value)}

    def space(self, space: Space[Any]) -> Packed:
        """The generators of a space and of those in it."""
        return {"kind": "space", "generators": numbered([self.value(inner._np_random) for inner in nested(space)])}

    def value(self, value: Any) -> Any:
        """A scalar as it is, anything else as a nested dict."""
        if type(value) in SCALARS:
            return value
        if isinstance(value, np.generic):
            return {"kind": "scalar", "value": self.checked(np.array(value))}
        if id(value) in self.order:
            return {"kind": "same", "as": self.shared(id(value))}
        if self.depth == DEEPEST:
            raise OpaqueError("an object deep in others")
        self.order[id(value)] = None
        self.alive.append(value)
        self.depth += 1
        packed = self.array(value) if type(value) is np.ndarray else self.parts(value)
        self.depth -= 1
        self.order[id(value)] = self.packed
        self.packed += 1
        return packed

    def shared(self, identity: int) -> int:
        """Position of an object that was packed before."""
        index = self.order[identity]
        if index is None:
            raise OpaqueError("an object that contains itself")
        return index

    def parts(self, value: Any) -> Packed:
        """An object of one of the KINDS."""
        if type(value) not in KINDS or shared(value):
            raise OpaqueError(f"a {type(value).__name__}")
        take, _ = KINDS[type(value)]
        return {"kind": type(value).__name__, "parts": {name: self.value(part) for name, part in take(value).items()}}

    def array(self, value: np.ndarray) -> Packed:
        """A copy of an array that shares its memory with nothing."""
        root = value
        while isinstance(root.base, np.ndarray):
            root = root.base
        if root.base is not None or any(np.may_share_memory(value, other) for other in self.arrays):
            raise OpaqueError("an array whose memory is shared")
        self.arrays.append(value)
        return {"kind": "array", "value": self.checked(value.copy())}

    def checked(self, array: np.ndarray) -> np.ndarray:
        """The array, if a checkpoint can hold its type."""
        if not storable(array.dtype):
            raise OpaqueError(f"an array of {array.dtype}")
        return array


class Unpacker:
    """The inverse of a Packer: to be asked for the same objects in the same order."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def attributes(self, packed: Packed, into: dict[str, Any], skip: Collection[str] = ()) -> None:
        """Give an object its attributes back; those it did not have are taken away."""
        for name in changing(into, skip):
            # Methods and frozen settings of before were taken for constant by older versions.
            if name not in packed and not callable(into[name]) and not frozen(into[name]):
                del into[name]
        for name, value in packed.items():
            if isinstance(value, dict) and value["kind"] == "space":
                self.space(value, into[name])
            else:
                into[name] = self.value(value)

    def space(self, packed: Packed, space: Space[Any]) -> None:
        """Give a space and those in it their generators back."""
        for inner, generators in zip(nested(space), packed["generators"].values(), strict=True):
            inner._np_random = self.value(generators)

    def value(self, packed: Any) -> Any:
        """The value that was packed."""
        if not isinstance(packed, dict):
            return packed
        if packed["kind"] == "scalar":
            return packed["value"][()]
        if packed["kind"] == "same":
            return self.made[packed["as"]]
        if packed["kind"] == "array":
            value = packed["value"].copy()
        else:
            _, give = KINDS[NAMES[packed["kind"]]]
            value = give({name: self.value(part) for name, part in packed["parts"].items()})
        self.made.append(value)
        return value
