"""Multipliers: positive numbers that are learned beside weights, at a learning rate of their own."""

import math

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import without_decay

LOW, HIGH = math.exp(-10.0), math.exp(7.5)
"""All that a multiplier can be lies between these (the authors' code of arXiv 2405.16158)."""


def check_multiplier(name: str, value: float) -> None:
    """Refuse a first value that a multiplier cannot have."""
    if not LOW < value < HIGH:
        raise UserError(f"{name} is {value}: it must lie between {LOW:.2g} and {HIGH:.2g}")


class Multiplier(nn.Module):
    """exp(low + (high - low) / 2 * (1 + tanh(rate * x))), which Adam moves at `rate` times its learning rate.

    Adam's step does not feel the scale of a loss, so the smaller learning rate is in the units of x.
    """

    def __init__(self, initial: float, rate: float) -> None:
        super().__init__()
        low, high = math.log(LOW), math.log(HIGH)
        self.rate, self.middle, self.reach = rate, (low + high) / 2, (high - low) / 2
        self.x = nn.Parameter(torch.tensor(math.atanh((math.log(initial) - self.middle) / self.reach) / rate))
        without_decay(self.x)

    def forward(self) -> Tensor:  # []
        return (self.middle + self.reach * torch.tanh(self.rate * self.x)).exp()
