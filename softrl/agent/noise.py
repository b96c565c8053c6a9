"""Exploration by noise on top of the policy's actions. Shapes: see `softrl.types`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from softrl.agent.explore import Explorer
from softrl.errors import UserError
from softrl.nn.encoders import Losses
from softrl.types import Carry, Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


@dataclass(frozen=True)
class AdditiveNoise:
    """Independent Gaussian noise on every number of an action (Dreamer, arXiv 1912.01603, appendix A)."""

    amount: float = 0.3
    """Standard deviation of the noise."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise UserError(f"agent.explorer.amount is {self.amount}: it must be positive, OnPolicy adds no noise")

    def build(self, actor: Any, latent: int, spec: Spec) -> "AdditiveNoiseExplorer":
        """The module, without parameters; raises UserError where actions are choices."""
        if spec.choices:
            raise UserError("agent.explorer AdditiveNoise moves numbers, and there are choices here: leave it out")
        return AdditiveNoiseExplorer(self.amount)


class AdditiveNoiseExplorer(Explorer):
    """clip(a + amount * noise, -1, 1),   a ~ pi(. | z)."""

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def initial(self, count: int) -> Carry:
        return {}

    def act(self, actor: Any, z: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        action = actor.sample(z)
        return (action + self.amount * torch.randn_like(action)).clamp(-1, 1), carry

    def losses(self, agent: "Agent", z: Tensor, critic_z: Tensor) -> Losses:
        return {}
