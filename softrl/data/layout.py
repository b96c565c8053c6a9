"""How the numbers of a row of replay lie side by side. Shapes: see `softrl.types`."""

from itertools import accumulate
from math import prod

from torch import Tensor

from softrl.types import Spec

SCALARS = ("reward", "terminated", "first", "last")
"""One number each, after observations and action; then for stacks `age`, rows of the episode before it, and `left`."""
PICTURES = "pixels"
"""The observation of this name is kept as frames, and the others as numbers."""


class Layout:
    """Names of the numbers in a row, their shapes and places, in the order in which they lie."""

    def __init__(self, spec: Spec) -> None:
        self.pictures = {name: shape for name, shape in spec.obs.items() if name == PICTURES}
        self.numbers = [name for name in spec.obs if name not in self.pictures]  # observations that are no pictures
        self.scalars = [*SCALARS, *["age"] * len(self.pictures)]  # which are known on the host
        self.shapes = {f"obs.{name}": spec.obs[name] for name in self.numbers} | {"action": (spec.action,)}
        self.shapes |= dict.fromkeys([*self.scalars, *["left"] * spec.prefixes], ())
        ends = list(accumulate(map(prod, self.shapes.values())))
        starts = (end - prod(shape) for end, shape in zip(ends, self.shapes.values(), strict=True))
        self.places = dict(zip(self.shapes, map(slice, starts, ends), strict=True))
        self.scalar_slice = slice(self.places[self.scalars[0]].start, self.places[self.scalars[-1]].stop)
        self.width = ends[-1]

    def columns(self, ring: Tensor) -> dict[str, Tensor]:
        """Views of rows by name, [L,N,W] -> [L,N,..] each."""
        return {
            name: ring[..., place].view(*ring.shape[:-1], *self.shapes[name]) for name, place in self.places.items()
        }
