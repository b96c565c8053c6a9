"""Action spaces as one flat vector [A]: a one-hot for each choice, then numbers in [-1, 1]. Shapes: see `softrl.types`.

Box, Discrete, MultiDiscrete, MultiBinary, and Tuple and Dict of these, however deep, are split in the order of the
space; all choices come before all numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import singledispatch
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from softrl.errors import UserError

Taken = tuple[list[int], np.ndarray]
"""An action split: the option picked in each choice, and numbers in [-1, 1]."""

ADVICE = {
    "Text": "has no fixed size: wrap the environment so that it takes a Discrete, the place of a text in a list",
    "Graph": "has no fixed size: wrap the environment so that it takes a Dict of arrays for the largest graph",
    "Sequence": "has no fixed length: wrap the environment so that it takes a Tuple of the greatest length",
    "OneOf": "is one of several spaces: wrap the environment so that it takes a Tuple of a Discrete, which says which, "
    "and of all of them",
}
"""What to do about spaces that no flat vector stands for."""

ROUNDING = 1e-4
"""How far beyond its bounds a number may lie for its rounding, as a share of their distance, or as it is."""

WIDEST = 2.0**53
"""Largest bound of a number: beyond it float64 skips integers, and the largest of float32 stands for no bound."""


class Part(ABC):
    """A space as so many choices and so many numbers in [-1, 1]."""

    choices: tuple[int, ...]
    continuous: int

    @abstractmethod
    def build(self, picks: Sequence[Any], unit: np.ndarray) -> Any:
        """Actions, exactly as the space declares them, of what is picked in each choice [..] and numbers [..,A]."""

    @abstractmethod
    def take(self, action: Any) -> Taken:
        """The options picked in an action, and its numbers in [-1, 1]; raises ValueError for what is none."""


class Numbers(Part):
    """A Box of any shape and dtype; integers are the nearest.

    a' = low + (a + 1) (high - low) / 2
    """

    def __init__(self, box: Box) -> None:
        low, high = box.low.astype(np.float64), box.high.astype(np.float64)
        if not np.maximum(-low, high).max(initial=0.0) <= WIDEST:
            size = "bounds beyond 2^53, which are as good as none" if box.is_bounded() else "infinite bounds"
            raise UserError(
                f"the action space {spelled(box)} has {size}: bound it, for instance by "
                "gymnasium.wrappers.TransformAction(env, lambda action: action, gymnasium.spaces.Box(-1, 1, shape))"
            )
        self.low, self.high, self.whole = low.ravel(), high.ravel(), box.dtype.kind in "iub"
        self.center, self.scale = (self.low + self.high) / 2, (self.high - self.low) / 2
        self.box, self.choices, self.continuous = box, (), self.low.size

    def build(self, picks: Sequence[Any], unit: np.ndarray) -> np.ndarray:
        # What rounding puts outside the bounds is moved onto them.
        value = np.minimum(np.maximum(unit * self.scale + self.center, self.low), self.high)  # [..,A]
        value = np.rint(value) if self.whole else value
        return value.astype(self.box.dtype).reshape((*unit.shape[:-1], *self.box.shape))

    def take(self, action: Any) -> Taken:
        value = np.asarray(action, np.float64)
        if value.size != self.low.size:
            raise ValueError(f"{value.size} numbers where there are {self.low.size}")
        distance = value.ravel() - self.center  # [A]
        if beyond := (np.abs(distance) > (1 + ROUNDING) * self.scale + ROUNDING).nonzero()[0].tolist():
            first = beyond[0]
            raise ValueError(f"{value.ravel()[first]:g} lies outside [{self.low[first]:g}, {self.high[first]:g}]")
        unit = np.divide(distance, self.scale, out=np.zeros_like(distance), where=self.scale > 0)
        return [], np.clip(unit, -1.0, 1.0)


def picked(action: Any, start: np.ndarray, sizes: Sequence[int]) -> list[int]:
    """The options picked in choices of these sizes, counted from `start`; raises ValueError for what is none."""
    value = np.asarray(action).ravel()
    picks = value - start if value.shape == start.shape else value
    if value.shape != start.shape or (picks % 1).any() or (picks < 0).any() or (picks >= np.array(sizes)).any():
        raise ValueError(f"{value.tolist()} is no choice among {list(sizes)} options")
    return [int(pick) for pick in picks]


class Choice(Part):
    """A Discrete with any start."""

    def __init__(self, space: Discrete) -> None:
        self.space, self.choices, self.continuous = space, (int(space.n),), 0

    def build(self, picks: Sequence[Any], unit: np.ndarray) -> Any:
        return (self.space.start + picks[0]).astype(self.space.dtype)

    def take(self, action: Any) -> Taken:
        return picked(action, np.array([self.space.start]), self.choices), np.zeros(0)


class Choices(Part):
    """An array of choices, each from its own start: a MultiDiscrete or a MultiBinary of any shape."""

    def __init__(self, space: Space[Any], sizes: np.ndarray, start: np.ndarray) -> None:
        self.space, self.start = space, start.astype(np.int64).ravel()
        self.choices, self.continuous = tuple(sizes.ravel().tolist()), 0

    def build(self, picks: Sequence[Any], unit: np.ndarray) -> np.ndarray:
        value = self.start + np.array(picks).T  # [..,choices]
        return value.astype(self.space.dtype).reshape((*unit.shape[:-1], *(self.space.shape or ())))

    def take(self, action: Any) -> Taken:
        return picked(action, self.start, self.choices), np.zeros(0)


class Joined(Part):
    """A Tuple or a Dict: the parts of its entries one after the other."""

    def __init__(self, entries: Sequence[Space[Any]]) -> None:
        self.parts = [part(entry) for entry in entries]
        self.choices = tuple(chain.from_iterable(entry.choices for entry in self.parts))
        self.continuous = sum(entry.continuous for entry in self.parts)
        self.picked = list(spans([len(entry.choices) for entry in self.parts]))
        self.numbered = list(spans([entry.continuous for entry in self.parts]))

    @abstractmethod
    def gather(self, values: list[Any]) -> Any:
        """The values of the entries in one."""

    @abstractmethod
    def entries(self, action: Any) -> Collection[Any]:
        """The values of the entries of an action."""

    def build(self, picks: Sequence[Any], unit: np.ndarray) -> Any:
        shares = zip(self.parts, self.picked, self.numbered, strict=True)
        return self.gather([entry.build(picks[p], unit[..., n]) for entry, p, n in shares])

    def take(self, action: Any) -> Taken:
        taken = [entry.take(value) for entry, value in zip(self.parts, self.entries(action), strict=True)]
        return [pick for picks, _ in taken for pick in picks], np.concatenate([unit for _, unit in taken])


class Listed(Joined):
    """A Tuple."""

    def __init__(self, space: Tuple[Any]) -> None:
        super().__init__(space.spaces)

    def gather(self, values: list[Any]) -> tuple[Any, ...]:
        return tuple(values)

    def entries(self, action: Any) -> Collection[Any]:
        return action


class Named(Joined):
    """A Dict."""

    def __init__(self, space: Dict) -> None:
        self.names = list(space.spaces)
        super().__init__(list(space.spaces.values()))

    def gather(self, values: list[Any]) -> dict[str, Any]:
        return dict(zip(self.names, values, strict=True))

    def entries(self, action: Any) -> Collection[Any]:
        return [action[name] for name in self.names]


@singledispatch
def kind(space: Space[Any]) -> Part:
    """The kind of part that a space is, unchecked; raises UserError where it is none."""
    advice = "is of a kind unknown here: wrap the environment so that it takes a Box, a Discrete or a Dict of them"
    raise UserError(f"the action space {spelled(space)} {ADVICE.get(type(space).__name__, advice)}")


kind.register(Box)(Numbers)
kind.register(Discrete)(Choice)
kind.register(Tuple)(Listed)
kind.register(Dict)(Named)


@kind.register
def _(space: MultiDiscrete) -> Part:
    return Choices(space, space.nvec, space.start)


@kind.register
def _(space: MultiBinary) -> Part:
    return Choices(space, np.full(space.shape, 2), np.zeros(space.shape))


def part(space: Space[Any]) -> Part:
    """A space split into its parts; raises UserError for one that is of no use, or that no flat vector stands for."""
    found = kind(space)
    if not found.choices and not found.continuous:
        raise UserError(f"the action space {spelled(space)} is empty: leave it out of the environment's action space")
    if 1 in found.choices:
        raise UserError(
            f"the action space {spelled(space)} has a choice of one option, which is none: wrap the environment so "
            "that it takes this option by itself"
        )
    return found


def spelled(space: Space[Any]) -> str:
    """A space on one line."""
    return " ".join(str(space).split())


def spans(sizes: Sequence[int]) -> Iterator[slice]:
    """Where each of several things of these sizes lies when they are put one after the other."""
    return (slice(start, stop) for start, stop in pairwise(accumulate(sizes, initial=0)))


class FlatActions(Box):
    """The flat vectors [A], float32, that stand for the actions of `space`: one-hots, then numbers in [-1, 1].

    Raises UserError for spaces without a finite number of components, and for those that leave nothing to decide.
    """

    def __init__(self, space: Space[Any]) -> None:
        self.space, self.part = space, part(space)
        self.choices, self.continuous = self.part.choices, self.part.continuous
        self.spans = list(spans(self.choices))
        self.chosen = sum(self.choices)
        low = np.repeat(np.array([0.0, -1.0], np.float32), [self.chosen, self.continuous])
        super().__init__(low, np.ones_like(low), dtype=np.float32)

    def decode(self, flat: np.ndarray) -> Any:
        """The action [A] stands for, exactly as its space declares it: a choice is where its one-hot is largest."""
        return self.part.build([flat[..., span].argmax(-1) for span in self.spans], flat[..., self.chosen :])

    def encode(self, action: Any) -> np.ndarray:
        """The vector [A] that stands for an action: `decode` gives it back, a Box up to rounding to float32.

        Raises ValueError, TypeError or KeyError for what is no action of the space.
        """
        picks, unit = self.part.take(action)
        flat = np.zeros(self.shape, np.float32)
        flat[[span.start + pick for span, pick in zip(self.spans, picks, strict=True)]] = 1.0
        flat[self.chosen :] = unit
        return flat

    def batch(self, flats: np.ndarray) -> Any:
        """What N vectors [N,A] stand for, as Gymnasium's vector environments take it.

        An array [N,..] for Box, Discrete, MultiDiscrete and MultiBinary; the same nest with an array in each place for
        Tuple and Dict, which `gymnasium.vector.utils.iterate` splits into N actions.
        """
        return self.decode(flats)


def entries(space: Space[Any]) -> dict[Any, Space[Any]]:
    """The spaces in a Dict or Tuple, under their names or numbers; none in any other."""
    if isinstance(space, Dict):
        return dict(space.spaces)
    return dict(enumerate(space.spaces)) if isinstance(space, Tuple) else {}
