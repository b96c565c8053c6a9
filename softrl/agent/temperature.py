"""Temperatures: the price alpha of one nat of entropy, one for each log-prob component."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import without_decay
from softrl.types import Spec


@dataclass(frozen=True)
class Learned:
    """alpha tuned so that the policy's entropy meets a target (arXiv 1812.05905, section 5)."""

    initial: float = 1.0
    """Temperature at the start."""
    target_per_action: float = -1.0
    """Target entropy in nats for each continuous action component: -1 is the paper's -|A|."""
    learned = True

    def __post_init__(self) -> None:
        if self.initial <= 0:
            raise UserError(f"agent.temperature.initial is {self.initial}: a temperature must be positive")
        if self.target_per_action >= math.log(2):
            raise UserError(
                f"agent.temperature.target_per_action is {self.target_per_action}, above log 2 = 0.69, the largest "
                "entropy of an action in [-1, 1]: choose a smaller target, such as -1"
            )

    def build(self, spec: Spec) -> "Temperature":
        """The module, with the logarithm of alpha as its parameter."""
        return Temperature(math.log(self.initial), self.target_per_action * spec.continuous, self.learned)


@dataclass(frozen=True)
class Fixed:
    """A constant alpha: the 2018 algorithm, whose reward scale does the rest (arXiv 1801.01290)."""

    value: float = 1.0
    """The temperature."""
    learned = False

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise UserError(f"agent.temperature.value is {self.value}: a temperature must be positive")

    def build(self, spec: Spec) -> "Temperature":
        """The module, without parameters."""
        return Temperature(math.log(self.value), -float(spec.continuous), self.learned)


class Temperature(nn.Module):
    """alpha = exp(log_alpha), [C]; a fixed one has nothing to learn."""

    target: Tensor

    def __init__(self, log_alpha: float, target: float, learned: bool) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor([log_alpha]), requires_grad=learned)
        without_decay(self.log_alpha)  # a decay would pull the temperature towards one
        self.register_buffer("target", torch.tensor([target]))

    def forward(self) -> Tensor:
        return self.log_alpha.exp()
