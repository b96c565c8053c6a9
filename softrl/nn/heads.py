"""Heads: read a return distribution out of a critic's output, and regress that output to a distribution.

Shapes: see `softrl.types`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.losses import cross_entropy, huber, quantile_huber, squared
from softrl.math.project import Support, clipped_mass, hl_gauss, two_neighbours
from softrl.math.rules import HeadTraits
from softrl.types import Atoms

ERRORS = {"squared": squared, "huber": huber}


class Prediction(NamedTuple):
    """What a critic says of actions: its raw output, and the atoms that its head reads in it."""

    output: Tensor  # [E,K,B,W]
    atoms: Atoms  # [E,K,B,M]


class Head(HeadTraits, Protocol):
    """A kind of critic: how many numbers W an output has, what they mean, how they are learned."""

    def atoms(self, output: Tensor) -> Atoms:
        """The return distribution written in an output, [..,W] -> [..,M]."""

    def loss(self, output: Tensor, target: Atoms) -> Tensor:
        """How far outputs [E,B,W] are from target atoms [B,M], [E,B]."""

    def clipped(self, target: Atoms) -> Tensor:
        """Share of the target's mass, [B,M], that lies beyond what the head can express, a scalar."""


@dataclass(frozen=True)
class Scalar:
    """One number, the expected return; regresses to the mean of the target atoms."""

    error: Literal["squared", "huber"] = "squared"
    """What an error costs: half its square, or no more than itself above 1 (for prioritised replay without weights)."""
    width = 1
    equal_weights = True

    def atoms(self, output: Tensor) -> Atoms:  # [..,1] -> [..,1]
        """A single atom of weight one."""
        return Atoms(output, torch.ones_like(output))

    def loss(self, output: Tensor, target: Atoms) -> Tensor:  # [E,B,1], [B,M] -> [E,B]
        """1/2 (Q - E[y])^2 (arXiv 1812.05905, eq. 5), or its Huber form (LAP, arXiv 2007.06049, section 4)."""
        return ERRORS[self.error](output[..., 0], target.mean())

    def clipped(self, target: Atoms) -> Tensor:
        """Nothing: a number has no bounds."""
        return target.value.new_zeros(())


@dataclass(frozen=True)
class Quantile:
    """Quantiles of the return at the middles of equal shares, tau_i = (i + 1/2) / n (QR-DQN, arXiv 1710.10044)."""

    quantiles: int = 25
    """Quantiles that each member learns."""
    kappa: float = 1.0
    """Error at which the loss turns from a square into a straight line."""
    equal_weights = True

    def __post_init__(self) -> None:
        if self.quantiles < 1:
            raise UserError(f"quantiles is {self.quantiles}: a quantile critic needs at least one")
        if not 0 < self.kappa < math.inf:
            raise UserError(f"kappa is {self.kappa}: the Huber loss bends at a positive error, such as 1")

    @property
    def width(self) -> int:
        """One number a quantile."""
        return self.quantiles

    def atoms(self, output: Tensor) -> Atoms:  # [..,n] -> [..,n]
        """Every quantile is an atom of weight 1/n."""
        return Atoms(output, torch.full_like(output, 1 / self.quantiles))

    def loss(self, output: Tensor, target: Atoms) -> Tensor:  # [E,B,n], [B,M] -> [E,B]
        """The quantile Huber loss of every quantile with every target atom, which may have weights of its own."""
        return quantile_huber(output, target, self.kappa)

    def clipped(self, target: Atoms) -> Tensor:
        """Nothing: quantiles have no bounds."""
        return target.value.new_zeros(())


@dataclass(frozen=True)
class Categorical:
    """Probabilities of evenly spaced returns, learned by classification; returns beyond the ends are clipped."""

    bins: int = 101
    """Values in the support."""
    low: float = -5.0
    """Smallest return that can be expressed; rewards must be scaled to fit."""
    high: float = 5.0
    """Largest return that can be expressed."""
    target: Literal["c51", "two_hot", "hl_gauss"] = "c51"
    """What is learned: the whole target distribution (c51), or its mean, split between two values (two_hot) or smeared
    out by a Gaussian (hl_gauss)."""
    sigma: float = 0.75
    """Standard deviation of hl_gauss, in distances between values."""
    equal_weights = False

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise UserError(f"bins is {self.bins}: a support needs at least its two ends")
        if not -math.inf < self.low < self.high < math.inf:
            raise UserError(f"the support goes from low = {self.low} to high = {self.high}: low must be below high")
        if not 0 < self.sigma < math.inf:
            raise UserError(f"sigma is {self.sigma}: the Gaussian of hl_gauss needs a positive spread, such as 0.75")
        if self.sigma != Categorical.sigma and self.target != "hl_gauss":
            raise UserError(f"sigma is {self.sigma} and target is '{self.target}': only hl_gauss has a spread to set")

    @property
    def width(self) -> int:
        """One logit a value."""
        return self.bins

    @property
    def support(self) -> Support:
        """The values that have a probability."""
        return Support(self.low, self.high, self.bins)

    def atoms(self, output: Tensor) -> Atoms:  # [..,bins] -> [..,bins]
        """The support, with the softmax of the output for weights."""
        return Atoms(self.support.values(output).expand_as(output), output.softmax(-1))

    def loss(self, output: Tensor, target: Atoms) -> Tensor:  # [E,B,bins], [B,M] -> [E,B]
        """Cross entropy with the target, written as probabilities of the support."""
        encoding = ENCODINGS[self.target]
        return cross_entropy(output, encoding.write(self, encoding.points(target)))

    def clipped(self, target: Atoms) -> Tensor:
        """Share of what is learned that lies beyond the ends of the support, a scalar."""
        return clipped_mass(ENCODINGS[self.target].points(target), self.support)


class Encoding(NamedTuple):
    """How target atoms become probabilities of a support."""

    points: Callable[[Atoms], Atoms]  # what of the target is learned, [B,M] -> [B,M']
    write: Callable[[Categorical, Atoms], Tensor]  # as probabilities, [B,M'] -> [B,bins]


def everything(target: Atoms) -> Atoms:
    """The target itself."""
    return target


def mean_alone(target: Atoms) -> Atoms:
    """The target's mean as its only atom, [..,M] -> [..,1]."""
    mean = target.mean()[..., None]
    return Atoms(mean, torch.ones_like(mean))


def by_neighbours(head: Categorical, points: Atoms) -> Tensor:
    """Each point split between its two neighbours."""
    return two_neighbours(points, head.support)


def by_gaussian(head: Categorical, points: Atoms) -> Tensor:
    """Each point smeared out."""
    return hl_gauss(points, head.support, head.sigma)


ENCODINGS = {
    "c51": Encoding(everything, by_neighbours),
    "two_hot": Encoding(mean_alone, by_neighbours),
    "hl_gauss": Encoding(mean_alone, by_gaussian),
}

AnyHead = Scalar | Quantile | Categorical
"""The heads that a configuration can name."""
