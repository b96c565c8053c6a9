"""Trunks: the body of a network, inputs -> features, with a leading axis of members. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from typing import Any, Protocol

from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import Activation

Units = tuple[nn.Module, nn.Module, nn.Module | None]
"""The layer that makes hidden units, the Activation whose output they are, the layer that reads them (None: `out`)."""


class Trunk(nn.Module, ABC):
    """Features of a vector: [B,D] or [E,B,D] -> [E,B,width]."""

    width: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features, [E,B,width]."""

    @abstractmethod
    def out(self, outputs: int) -> nn.Module:
        """A new output layer in the style of this trunk, [E,B,width] -> [E,B,outputs]."""

    @abstractmethod
    def hidden(self) -> list[Units]:
        """The hidden units that one layer makes and one layer reads; none where features are shared more widely."""

    def nonlinearities(self) -> list[nn.Module]:
        """The nonlinearities inside, each used once in a pass: all hidden units, whoever reads them."""
        return [part for part in self.modules() if isinstance(part, Activation)]


class TrunkConfig(Protocol):
    """What every trunk's configuration can do."""

    @property
    def needs(self) -> frozenset[str]:
        """What the trunk asks of its surroundings, such as `softrl.nn.norms.BATCH_STATISTICS`."""

    def build(self, inputs: int, members: int = 1) -> Trunk:
        """The trunk's module for vectors of width `inputs`."""


def units_inside(blocks: nn.ModuleList) -> list[Units]:
    """The units of blocks that `expand`, `activate` and `contract`; none of a CReLU, whose units have two outputs."""
    listed: list[Any] = list(blocks)
    return [(block.expand, block.activation, block.contract) for block in listed if block.activation.scale == 1]


def check_hidden(hidden: tuple[int, ...]) -> None:
    """Refuse a list of widths that is empty or holds an empty layer."""
    if not hidden or min(hidden) < 1:
        raise UserError(f"hidden layers need at least one unit each, got {hidden}: give widths like 256,256")


def check_sizes(trunk: str, **sizes: int) -> None:
    """Refuse sizes below one."""
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} is {size}: a {trunk} trunk needs at least 1")
