"""Learning rates from step to step, computed from the optimiser's own count of its steps."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from softrl.errors import UserError


@dataclass(frozen=True)
class Constant:
    """A learning rate that stays what it is."""

    def rate(self, initial: Tensor, count: Tensor) -> Tensor:
        """The learning rate of the step after `count` steps, 0-d."""
        return initial


@dataclass(frozen=True)
class LinearDecay:
    """rate = initial * (1 - (1 - final_share) * min(count / decay_updates, 1))."""

    final_share: float = 0.1
    """Learning rate at the end, as a share of the first."""
    decay_updates: int = 1_000_000
    """Optimiser steps until the end is reached; the rate stays there."""

    def __post_init__(self) -> None:
        check_decay(self.final_share, self.decay_updates)

    def rate(self, initial: Tensor, count: Tensor) -> Tensor:
        """The learning rate of the step after `count` steps, 0-d."""
        return initial * (1 - (1 - self.final_share) * (count / self.decay_updates).clamp(max=1))


@dataclass(frozen=True)
class CosineDecay:
    """rate = initial * (final_share + (1 - final_share) * (1 + cos(pi * min(count / decay_updates, 1))) / 2).

    Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, without restarts.
    """

    final_share: float = 0.1
    """Learning rate at the end, as a share of the first."""
    decay_updates: int = 1_000_000
    """Optimiser steps until the end is reached; the rate stays there."""

    def __post_init__(self) -> None:
        check_decay(self.final_share, self.decay_updates)

    def rate(self, initial: Tensor, count: Tensor) -> Tensor:
        """The learning rate of the step after `count` steps, 0-d."""
        wave = (1 + torch.cos(math.pi * (count / self.decay_updates).clamp(max=1))) / 2
        return initial * (self.final_share + (1 - self.final_share) * wave)


LARGEST_COUNT = 2**24
"""From here on a float32 no longer grows by one."""


def check_decay(final_share: float, decay_updates: int) -> None:
    """Refuse a rate that grows, turns negative or never gets anywhere."""
    if not 0 <= final_share <= 1:
        raise UserError(f"final_share is {final_share}: a share of the first learning rate must lie in [0, 1]")
    if decay_updates > LARGEST_COUNT:
        raise UserError(
            f"decay_updates is {decay_updates}: an optimiser counts its steps in float32, which ends at {LARGEST_COUNT}"
        )
    if decay_updates < 1:
        raise UserError(f"decay_updates is {decay_updates}: a learning rate needs at least one update to decay")
