"""Further losses on the policy's actions: none, or one on changes of entropy. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.losses import entropies
from softrl.nn.norms import batch_statistics
from softrl.nn.targets import check_tau, frozen_copy, polyak_update
from softrl.types import Actions, Spec


def check_strength(path: str, strength: float, without: str) -> None:
    """Refuse a further loss that pushes the wrong way, or does nothing; raises UserError."""
    if strength <= 0:
        raise UserError(f"{path}.strength is {strength}: it must be positive, {without} is the part without one")


class Penalty(nn.Module, ABC):
    """Named losses on the actions of a policy."""

    @abstractmethod
    def forward(self, actor: nn.Module, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        """Losses of what the actor returned at latents [B,D]; called once for each of its steps."""


@dataclass(frozen=True)
class Unpenalized:
    """No further loss."""

    needs = frozenset[str]()

    def build(self, actor: nn.Module, spec: Spec) -> "NoPenalty":
        """The module, without state."""
        return NoPenalty()


class NoPenalty(Penalty):
    """No losses."""

    def forward(self, actor: nn.Module, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class EntropyPenalty:
    """strength/2 * E (H_old(s) - H(s))^2, H_old that of a copy of the policy that follows slowly (arXiv 2209.10081).

    The paper stores the entropy of each decision with it; a copy needs no further column in replay.
    """

    strength: float = 1.0
    """Weight of the loss; its published form has 0.5 in front."""
    tau: float = 0.005
    """Polyak coefficient of the old policy at every step; 1 copies the weights."""
    needs = frozenset({"exact entropy"})

    def __post_init__(self) -> None:
        check_strength("agent.penalty", self.strength, "Unpenalized")
        check_tau("agent.penalty.tau", self.tau)

    def build(self, actor: nn.Module, spec: Spec) -> "SteadyEntropy":
        """The module, its copy as `actor` is now; raises UserError where entropy is not known exactly."""
        if spec.continuous:
            raise UserError(
                "agent.penalty compares exact entropies, and those of continuous actions are sampled: leave it out, or "
                "choose an environment with discrete actions only"
            )
        return SteadyEntropy(self, actor)


class SteadyEntropy(Penalty):
    """A slow copy of the policy, and the distance between both entropies."""

    def __init__(self, config: EntropyPenalty, actor: nn.Module) -> None:
        super().__init__()
        self.strength, self.tau = config.strength, config.tau
        self.old: Any = frozen_copy(actor)

    def forward(self, actor: nn.Module, z: Tensor, actions: Actions) -> dict[str, Tensor]:
        """The loss, after the copy has followed."""
        polyak_update(self.old, actor, self.tau)
        with torch.no_grad(), batch_statistics(self.old):
            before = entropies(self.old(z))
        distance = (before - entropies(actions)).square().sum(-1)  # [B]
        return {"entropy_penalty_loss": self.strength / 2 * distance.mean()}
