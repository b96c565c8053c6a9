"""Trunks: the body of a network, inputs -> features, with a leading axis of members."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn


class Trunk(nn.Module, ABC):
    """Features of a vector: [B,D] or [E,B,D] -> [E,B,width]."""

    width: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features, [E,B,width]."""


class TrunkConfig(Protocol):
    """What every trunk's configuration can do."""

    def build(self, inputs: int, members: int = 1) -> Trunk:
        """The trunk's module for vectors of width `inputs`."""
