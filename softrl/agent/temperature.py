"""Temperatures: the price alpha of one nat of entropy, one for each log-prob component."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.choices import components
from softrl.nn.layers import without_decay
from softrl.types import Spec


@dataclass(frozen=True)
class Entropy:
    """Where entropy counts; the critic's target without it is the hard backup of decoupled DSAC (arXiv 2509.09838).

    Where it counts nowhere, returns alone are maximised, as Dreamer does.
    """

    in_backup: bool = True
    """Whether the entropy bonus is part of the critic's target (in sac_v1, of the state value's)."""
    in_actor: bool = True
    """Whether the entropy bonus is part of the actor's loss."""


@dataclass(frozen=True)
class Learned:
    """alpha tuned so that the policy's entropy meets a target (arXiv 1812.05905, section 5)."""

    initial: float = 1.0
    """Temperature at the start."""
    target_per_action: float = -1.0
    """Target entropy in nats for each continuous action component: -1 is the paper's -|A|."""
    target_share: float = 0.98
    """Target entropy of discrete choices, as a share of that of uniform ones (arXiv 1910.07207)."""
    entropy: Entropy = field(default_factory=Entropy)
    """Where entropy counts."""
    learned = True

    def __post_init__(self) -> None:
        if self.initial <= 0:
            raise UserError(f"agent.temperature.initial is {self.initial}: a temperature must be positive")
        if self.target_per_action >= math.log(2):
            raise UserError(
                f"agent.temperature.target_per_action is {self.target_per_action}, above log 2 = 0.69, the largest "
                "entropy of an action in [-1, 1]: choose a smaller target, such as -1"
            )
        if not 0 <= self.target_share < 1:
            raise UserError(
                f"agent.temperature.target_share is {self.target_share}: a share of the largest entropy that a policy "
                "can keep to lies in [0, 1), such as 0.98"
            )
        if not self.entropy.in_actor:
            raise UserError(
                "agent.temperature.entropy.in_actor is off, and a temperature that the actor does not feel cannot be "
                "learned: use a fixed one"
            )

    def build(self, spec: Spec) -> "Temperature":
        """The module, with the logarithms of alpha as its parameter."""
        wanted = targets(spec, self.target_share, self.target_per_action)
        return Temperature(components(spec), self.initial, wanted, self)


@dataclass(frozen=True)
class Fixed:
    """A constant alpha: the 2018 algorithm, whose reward scale does the rest (arXiv 1801.01290)."""

    value: float = 1.0
    """The temperature, of all components alike."""
    entropy: Entropy = field(default_factory=Entropy)
    """Where entropy counts."""
    learned = False

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise UserError(f"agent.temperature.value is {self.value}: a temperature must be positive")

    def build(self, spec: Spec) -> "Temperature":
        """The module, without parameters; what its targets would be is only logged."""
        wanted = targets(spec, Learned.target_share, Learned.target_per_action)
        return Temperature(components(spec), self.value, wanted, self)


def targets(spec: Spec, share: float, per_action: float) -> list[float]:
    """Target entropy of each component in nats: share * sum_i log n_i of choices, per_action * |A| of the rest."""
    largest = sum(map(math.log, spec.choices))
    every = {"choices": share * largest, "continuous": per_action * spec.continuous}
    return [every[name] for name in components(spec)]


class Temperature(nn.Module):
    """alpha = exp(log_alpha), [C]; a fixed one has nothing to learn."""

    target: Tensor

    def __init__(self, names: tuple[str, ...], initial: float, target: list[float], config: Learned | Fixed) -> None:
        super().__init__()
        self.names = names  # of the components
        self.in_backup, self.in_actor = float(config.entropy.in_backup), float(config.entropy.in_actor)
        self.log_alpha = nn.Parameter(torch.full((len(target),), math.log(initial)), requires_grad=config.learned)
        without_decay(self.log_alpha)  # a decay would pull the temperature towards one
        self.register_buffer("target", torch.tensor(target))

    def forward(self) -> Tensor:
        return self.log_alpha.exp()
