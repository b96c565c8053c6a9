"""Heads: read a return distribution out of a critic's row of numbers, and regress a row to a distribution."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from softrl.math.losses import squared
from softrl.types import Atoms


class Prediction(NamedTuple):
    """What a critic says of actions: its raw rows, and the atoms that its head reads in them."""

    row: Tensor  # [E,K,B,W]
    atoms: Atoms  # [E,K,B,M]


class Head(Protocol):
    """A kind of critic: how many numbers a row has, what they mean, how they are learned."""

    @property
    def width(self) -> int:
        """Numbers W in a row."""

    def atoms(self, row: Tensor) -> Atoms:
        """The return distribution written in a row, [..,W] -> [..,M]."""

    def loss(self, row: Tensor, target: Atoms) -> Tensor:
        """How far rows [E,B,W] are from target atoms [B,M], [E,B]."""


@dataclass(frozen=True)
class Scalar:
    """One number, the expected return; regresses to the mean of the target atoms."""

    width = 1

    def atoms(self, row: Tensor) -> Atoms:  # [..,1] -> [..,1]
        """A single atom of weight one."""
        return Atoms(row, torch.ones_like(row))

    def loss(self, row: Tensor, target: Atoms) -> Tensor:  # [E,B,1], [B,M] -> [E,B]
        """1/2 (Q - E[y])^2 (arXiv 1812.05905, eq. 5)."""
        return squared(row[..., 0], target.mean())
