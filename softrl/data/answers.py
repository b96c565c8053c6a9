"""What an environment's own `snapshot()` returns, as a checkpoint can hold it, with an exact way back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from softrl.data.plain import storable
from softrl.errors import UserError

TUPLE, SCALAR = "$tuple", "$scalar"
"""Keys of dicts that stand for what JSON does not have."""


def packed(answer: Any, layer: str) -> Any:
    """Nested dicts and lists of arrays and plain values; tuples and NumPy's scalars are marked, to come back as such.

    Raises:
        UserError: it holds anything else; the sentence names the layer and the path.
    """
    return _packed(answer, layer, ())


def unpacked(value: Any) -> Any:
    """What was packed."""
    match value:
        case {"$tuple": list(items)}:
            return tuple(map(unpacked, items))
        case {"$scalar": np.ndarray() as array}:
            return array[()]
        case dict():
            return {key: unpacked(item) for key, item in value.items()}
        case list():
            return list(map(unpacked, value))
        case _:
            return value


def _packed(value: Any, layer: str, path: tuple[str, ...]) -> Any:
    match value:
        case np.ndarray() if storable(value.dtype):
            return np.array(value)
        case np.generic() if storable(value.dtype):
            return {SCALAR: np.array(value)}
        case Mapping():
            return {_key(key, layer, path): _packed(item, layer, (*path, key)) for key, item in value.items()}
        case list():
            return [_packed(item, layer, (*path, str(i))) for i, item in enumerate(value)]
        case tuple() if type(value) is tuple:  # with names it would come back without them
            return {TUPLE: _packed(list(value), layer, path)}
        case None | bool() | int() | float() | str():
            return value
        case _ if type(value).__module__ == "torch":  # a tensor, known without importing torch, which takes seconds
            return value
        case _:
            place = f" at '{'/'.join(path)}'" if path else ""
            raise UserError(f"{layer}.snapshot() holds a {_kind(value)}{place}: return arrays and plain values")


def _kind(value: Any) -> str:
    return f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__


def _key(key: Any, layer: str, path: tuple[str, ...]) -> str:
    if not isinstance(key, str) or key.startswith("$"):
        place = f" at '{'/'.join(path)}'" if path else ""
        raise UserError(f"{layer}.snapshot() holds the key {key!r}{place}: name entries by strings without a $")
    return key
