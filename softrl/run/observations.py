"""Observations as an environment gives them, Dict and Tuple among them -> the rows that an agent reads.

Shapes: see `softrl.types`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.spaces import Dict, Space, Tuple
from gymnasium.spaces.utils import flatdim, flatten
from gymnasium.vector.utils import batch_space, iterate

from softrl.data.failures import one_line
from softrl.data.spaces import entries
from softrl.data.wrappers import Flat, check_choices, flat_rows
from softrl.errors import UserError

NUMBERS = "biuf"
"""Kinds of arrays that hold numbers or truth values."""
ABSENT = object()


def own(env: Env[Any, Any]) -> Space[Any] | None:
    """What an environment from `make` gave before it was flattened, or None where agents see pictures."""
    layer: Any = env
    while isinstance(layer, Wrapper):
        if isinstance(layer, Flat):
            return layer.env.observation_space
        layer = layer.env
    return None


def rows(space: Space[Any] | None, obs: Any) -> np.ndarray:
    """One observation of the space as [D], N of them as [N,D]; anything else as the array that it is.

    Raises UserError for a Dict or Tuple that does not fit, and for all that `reset` and `step` return.
    """
    if isinstance(obs, tuple) and not isinstance(space, Tuple) and obs and isinstance(obs[-1], dict):
        raise UserError(
            "the policy was given all that reset or step returns: give it the observation, the first of that tuple"
        )
    try:
        return np.asarray(obs) if space is None else flat(space, obs)
    except Exception as error:  # of any kind, as what was given is
        given = loose(obs)
        if isinstance(space, Dict | Tuple) and isinstance(obs, Mapping | tuple) and given.dtype.kind not in NUMBERS:
            raise UserError(f"the policy was given {misfit(space, obs) or one_line(error)}") from error
        return given


def loose(obs: Any) -> np.ndarray:
    """Whatever it is as an array, of no numbers where it cannot be one."""
    try:
        return np.asarray(obs)
    except (ValueError, RuntimeError):  # lists of several lengths, tensors with a gradient
        return np.array(None)


def flat(space: Space[Any], obs: Any) -> np.ndarray:
    """[D] or [N,D]; raises one of several exceptions for what does not belong to the space."""
    lead = leading(space, obs)
    if lead:
        [count] = lead
        for one in iterate(batch_space(space, count), obs):
            check_choices(space, one)
        row = flat_rows(space, obs, count)
    else:
        check_choices(space, obs)
        row = np.asarray(flatten(space, obs))
    if row.shape[-1] != flatdim(space):  # entries are flattened whatever their shape is
        raise ValueError(f"{row.shape[-1]} numbers where there are {flatdim(space)}")
    return row


def leading(space: Space[Any], obs: Any) -> tuple[int, ...]:
    """The axes in front of those of the space, in the first of its entries; raises as `flat` does."""
    if inner := entries(space):
        name, first = next(iter(inner.items()))
        return leading(first, obs[name])
    shape, shown = space.shape or (), np.shape(obs)
    axes = len(shown) - len(shape)
    if axes < 0 or shown[axes:] != shape:
        raise ValueError(f"{shown} does not end in {shape}")
    return shown[:axes]


def leaves(space: Space[Any], obs: Any, name: str = "observation") -> Iterator[tuple[str, Space[Any], Any]]:
    """Every entry that is no Dict or Tuple: its name, its space and what stands there, `ABSENT` where nothing does."""
    inner = entries(space)
    if not inner:
        yield name, space, obs
    for key, entry in inner.items():
        try:
            value = obs[key]
        except (IndexError, KeyError, TypeError):
            value = ABSENT
        yield from leaves(entry, value, f"{name}[{key!r}]")


def misfit(space: Space[Any], obs: Any) -> str:
    """The entry of a Dict or Tuple that is missing or not of its shape, the same number of times as the others."""
    lead: tuple[int, ...] | None = None
    for name, entry, value in leaves(space, obs):
        given, shape = loose(value), entry.shape or ()
        axes = given.ndim - len(shape)
        if value is ABSENT:
            return f"no {name}"
        if given.dtype.kind not in NUMBERS or axes not in (0, 1) or given.shape[axes:] != shape:
            return f"{name} of {given.dtype} {list(given.shape)}: it takes {list(shape)}, or N of them"
        if lead not in (None, given.shape[:axes]):
            return f"{name} of {given.dtype} {list(given.shape)}: it takes as many as of the entries before it"
        lead = given.shape[:axes]
    return ""
