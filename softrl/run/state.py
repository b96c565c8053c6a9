"""State of a part as arrays (safetensors) and plain values (JSON), with an exact way back and no pickle."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

State = Mapping[str, Any]
Arrays = dict[str, Tensor]
Keys = tuple[str, ...]

_MARK = "$array"  # a plain value {"$array": kind} stands where an array was


def split(state: State) -> tuple[Any, Arrays]:
    """A nested state becomes a plain value with the array leaves marked, and the arrays by "/"-joined path.

    Arrays are copied to contiguous CPU memory of their own: the snapshot does not move while it is written.

    Raises:
        TypeError: a leaf is neither an array nor a plain value, or a key is not a string; its path is named.
    """
    arrays: Arrays = {}
    return _plain(state, (), arrays), arrays


def join(plain: Any, arrays: Arrays) -> Any:
    """Inverse of `split`."""
    return _rebuilt(plain, (), arrays)


def snapshot(array: Tensor) -> Tensor:
    """A contiguous copy on the CPU; safetensors refuses views that share memory."""
    return array.detach().cpu().clone(memory_format=torch.contiguous_format)


def to_json(value: Any) -> bytes:
    """JSON of a plain value; floats keep every bit (repr), NaN and infinities included."""
    return json.dumps(value).encode("ascii")


def _plain(value: Any, path: Keys, arrays: Arrays) -> Any:
    match value:
        case Tensor():
            arrays[_joined(path)] = snapshot(value)
            return {_MARK: "torch"}
        case np.ndarray():
            arrays[_joined(path)] = torch.from_numpy(np.array(value, order="C"))
            return {_MARK: "numpy"}
        case Mapping():
            return {_key(key, path): _plain(item, (*path, key), arrays) for key, item in value.items()}
        case list():
            return [_plain(item, (*path, str(index)), arrays) for index, item in enumerate(value)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            kind = type(value).__name__
            raise TypeError(f"the state at '{_joined(path)}' is a {kind}, neither an array nor a plain value")


def _rebuilt(value: Any, path: Keys, arrays: Arrays) -> Any:
    match value:
        case {"$array": "torch"}:
            return arrays[_joined(path)]
        case {"$array": "numpy"}:
            return arrays[_joined(path)].numpy()
        case dict():
            return {key: _rebuilt(item, (*path, key), arrays) for key, item in value.items()}
        case list():
            return [_rebuilt(item, (*path, str(index)), arrays) for index, item in enumerate(value)]
        case _:
            return value


def _key(key: Any, path: Keys) -> str:
    if not isinstance(key, str) or key == _MARK:
        raise TypeError(f"the state at '{_joined(path)}' has the key {key!r}; keys are strings other than '{_MARK}'")
    return key


def _joined(path: Keys) -> str:
    """Keys joined by "/"; one inside a key is escaped as in RFC 6901, so that no two leaves share a name."""
    return "/".join(key.replace("~", "~0").replace("/", "~1") for key in path)
