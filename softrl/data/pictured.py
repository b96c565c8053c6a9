"""Which observations are pictures, which only look like some, and what is said of these.

Shapes: see `softrl.types`.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Space

from softrl.data.spaces import entries
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError

COLOURS = 3
SMALLEST = 16
"""Pixels in height and width from which uint8 observations are taken for pictures: below they are boards of a game."""
FRACTIONS = 32
"""The same for floats, which are never taken, from where they look like pictures: below they may be maps."""
ROW = "wrap the environment with gymnasium.wrappers.FlattenObservation where one long row is meant"


def pictured(space: Space[Any]) -> bool:
    """Whether observations are pictures: uint8 [H,W,3], [H,W,1], [H,W], [3,H,W] or [1,H,W] from 0 to 255."""
    return isinstance(space, Box) and coded(space) and (standing(space.shape) or planar(space.shape))


def coded(space: Box) -> bool:
    """Whether the numbers of a space are whole bytes."""
    return space.dtype == np.uint8 and bool((space.low == 0).all() and (space.high == 255).all())


def standing(shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of a picture [H,W,3], [H,W,1] or [H,W]."""
    return len(shape) in (2, 3) and min(shape[:2]) >= SMALLEST and shape[2:] in ((), (1,), (COLOURS,))


def planar(shape: tuple[int, ...]) -> bool:
    """Whether a shape is that of a picture whose colours come first, [3,H,W] or [1,H,W]."""
    return len(shape) == 3 and standing((*shape[1:], shape[0]))


def similar(space: Space[Any]) -> bool:
    """Whether observations that are not taken for pictures look like some: stacks of them, or floats for bytes."""
    if not isinstance(space, Box) or pictured(space):
        return False
    if coded(space):
        return long(space.shape, SMALLEST)
    scaled = bool((space.low == 0).all()) and any((space.high == top).all() for top in (1, 255))
    return space.dtype.kind == "f" and scaled and len(space.shape) > 2 and long(space.shape, FRACTIONS)


def long(shape: tuple[int, ...], least: int) -> bool:
    """Whether a shape has two sides of that many pixels."""
    return sum(size >= least for size in shape) >= 2


def inside(space: Space[Any], name: str = "observation") -> dict[str, Space[Any]]:
    """The entries of a Dict or Tuple, also of those in it, that are pictures or look like some, under their names."""
    found: dict[str, Space[Any]] = {}
    for key, entry in entries(space).items():
        own = f"{name}[{key!r}]"
        found |= {own: entry} if pictured(entry) or similar(entry) else inside(entry, own)
    return found


def remedy(space: Space[Any]) -> str:
    """What is to be done about observations that look like pictures or hold some, a sentence; else nothing."""
    if similar(space):
        return (
            f"the observations look like pictures, {list(space.shape or ())} of {space.dtype}: give single ones, "
            "[H,W,3] or [H,W] of uint8 from 0 to 255, to a recipe for pixels, which stacks them itself"
        )
    held = ", ".join(f"{name} {list(entry.shape or ())}" for name, entry in inside(space).items())
    return held and (
        f"the observations hold pictures, {held}, and recipes read one picture or a row of numbers, not both: keep a "
        "picture alone for a recipe for pixels, as with gymnasium.wrappers.TransformObservation, or leave pictures "
        "out, as with gymnasium.wrappers.FilterObservation"
    )


def stated(env: AnyEnv) -> AnyEnv:
    """The environment itself, to be seen by its states; raises UserError where its observations are pictures."""
    space = env.observation_space
    if pictured(space):
        raise UserError(
            f"the observations are pictures {list(space.shape or ())}, which this recipe would read as one long row: "
            f"use a recipe for pixels, such as --recipe drq (softrl.make takes pixels=softrl.Pixels()), or {ROW}"
        )
    if told := remedy(space):
        raise UserError(f"{told}, or {ROW}")
    return env
