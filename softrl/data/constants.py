"""What of a Python object cannot change: the environment that is restored has the same one."""

import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Space

SCALARS = (type(None), bool, int, float, str)
GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
GLOBAL = (random.random.__self__, np.random.random.__self__)  # type: ignore[attr-defined]  # of builtin methods
"""The generators of the process, whose state is kept with the process or the run."""
CONSTANTS = (EnvSpec, ModuleType, type)
CONSTANT_MODULES = ("gymnasium.envs.mujoco.mujoco_rendering", "pygame.surface", "pygame.time")


def constant(value: Any) -> bool:
    """Whether a value cannot change; functions count by what they hold, a space while nothing was drawn from it."""
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return all(content is value or settled(content) for content in cells + defaults)
    if isinstance(value, BuiltinFunctionType | MethodType):
        owner = value.__self__  # a generator or a list, where it is the method of one
        return owner is None or isinstance(owner, ModuleType | type) or shared(owner)
    if isinstance(value, Space):
        return not drawn(value)
    if frozen(value):
        return all(settled(getattr(value, field.name, None)) for field in fields(value))
    return isinstance(value, CONSTANTS) or type(value).__module__ in CONSTANT_MODULES or shared(value)


def settled(value: Any) -> bool:
    """Whether a value that something constant holds leaves it constant."""
    if type(value) in (tuple, frozenset):
        return all(map(settled, value))
    return type(value) in SCALARS or isinstance(value, Enum | np.generic) or constant(value)


def frozen(value: Any) -> bool:
    """Whether a value is an instance of a frozen dataclass."""
    return is_dataclass(type(value)) and bool(type(value).__dataclass_params__.frozen)


def replaceable(value: Any) -> bool:
    """Whether a value that cannot change itself may take the place of another, and is a state then."""
    return frozen(value) or (isinstance(value, FunctionType | BuiltinFunctionType | type | Space) and constant(value))


def shared(value: Any) -> bool:
    """Whether a value is a generator of the whole process."""
    return any(value is generator for generator in GLOBAL)


def nested(space: Space[Any]) -> Iterator[Space[Any]]:
    """A space and all spaces in it, each of which may have a generator, in an order of their own."""
    yield space
    for value in vars(space).values():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        for part in parts:
            if isinstance(part, Space):
                yield from nested(part)


def drawn(space: Space[Any]) -> bool:
    """Whether a space, or one in it, has a generator, which it gets when it is seeded or first drawn from."""
    return any(inner._np_random is not None for inner in nested(space))


def common(layer: Any) -> Iterator[Any]:
    """What the class of an object, and those that it inherits from, may draw from, for all objects together."""
    for kind in type(layer).__mro__:
        for value in vars(kind).values():
            if isinstance(value, GENERATORS) or (isinstance(value, Space) and drawn(value)):
                yield value
