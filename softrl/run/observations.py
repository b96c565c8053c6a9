"""Observations as an environment gives them, Dict and Tuple among them -> the rows that an agent reads.

Shapes: see `softrl.types`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Env, Wrapper
from gymnasium.spaces import Dict, Space, Tuple
from gymnasium.spaces.utils import flatten

from softrl.data.wrappers import Flat, flat_rows


def own(env: Env[Any, Any]) -> Space[Any] | None:
    """What an environment from `make` gave before it was flattened, or None where agents see pictures."""
    layer: Any = env
    while isinstance(layer, Wrapper):
        if isinstance(layer, Flat):
            return layer.env.observation_space
        layer = layer.env
    return None


def rows(space: Space[Any] | None, obs: Any) -> np.ndarray:
    """One observation of the space as [D], N of them as [N,D]; anything else as the array that it is."""
    try:
        return np.asarray(obs) if space is None else flat(space, obs)
    except (IndexError, KeyError, TypeError, ValueError):
        return np.asarray(obs)


def flat(space: Space[Any], obs: Any) -> np.ndarray:
    """[D] or [N,D]; raises one of several exceptions for what does not belong to the space."""
    lead = leading(space, obs)
    if not lead:
        return np.asarray(flatten(space, obs))
    [count] = lead
    return flat_rows(space, obs, count)


def leading(space: Space[Any], obs: Any) -> tuple[int, ...]:
    """The axes in front of those of the space, in the first of its entries; raises as `flat` does."""
    if isinstance(space, (Dict, Tuple)):
        entries: Mapping[Any, Any] = space.spaces if isinstance(space, Dict) else dict(enumerate(space.spaces))
        name, inner = next(iter(entries.items()))
        return leading(inner, obs[name])
    shape, shown = space.shape or (), np.shape(obs)
    axes = len(shown) - len(shape)
    if axes < 0 or shown[axes:] != shape:
        raise ValueError(f"{shown} does not end in {shape}")
    return shown[:axes]
