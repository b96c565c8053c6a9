"""Critics: a trunk, a head and a number of members. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.heads import AnyHead, Prediction, Scalar
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec


@dataclass(frozen=True)
class ActionIn:
    """Q(s, a) with the action as an input: for continuous actions."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What a row of outputs means and how it is learned."""
    members: int = 2
    """Independent critics in the ensemble."""

    def __post_init__(self) -> None:
        if self.members < 1:
            raise UserError(f"agent.critic.members is {self.members}: an ensemble needs at least one member")

    def build(self, latent: int, spec: Spec) -> "ActionInCritic":
        """The module for latents of width `latent`."""
        return ActionInCritic(self, latent, spec)


class ActionInCritic(nn.Module):
    """[B,D], [K,B,A] -> [E,K,B,W]: all members judge all K weighted actions in one pass."""

    def __init__(self, config: ActionIn, latent: int, spec: Spec) -> None:
        super().__init__()
        self.head = config.head
        self.trunk = config.trunk.build(latent + spec.action, config.members)
        self.out = self.trunk.out(self.head.width)

    def forward(self, z: Tensor, action: Tensor) -> Prediction:  # [B,D], [K,B,A]
        x = torch.cat([z.expand(*action.shape[:-1], -1), action], -1)  # [K,B,D+A]
        row = self.out(self.trunk(x.flatten(0, 1))).unflatten(1, action.shape[:2])  # [E,K,B,W]
        return Prediction(row, self.head.atoms(row))

    def loss(self, q: Prediction, target: Atoms) -> Tensor:
        """Regression of the taken action's rows (K = 1) to the target atoms [B,M], [E,B]."""
        return self.head.loss(q.row[:, 0], target)


@dataclass(frozen=True)
class StateValue:
    """V(s): the state value of the 2018 algorithm (arXiv 1801.01290, eq. 5)."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What a row of outputs means and how it is learned."""

    def build(self, latent: int) -> "StateValueCritic":
        """The module for latents of width `latent`."""
        return StateValueCritic(self, latent)


class StateValueCritic(nn.Module):
    """[B,D] -> [1,1,B,W]: one member, no action."""

    def __init__(self, config: StateValue, latent: int) -> None:
        super().__init__()
        self.head = config.head
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(self.head.width)

    def forward(self, z: Tensor) -> Prediction:  # [B,D]
        row = self.out(self.trunk(z))[:, None]  # [1,1,B,W]
        return Prediction(row, self.head.atoms(row))

    def loss(self, v: Prediction, target: Atoms) -> Tensor:
        """Regression to the target atoms [B,M], [1,B]."""
        return self.head.loss(v.row[:, 0], target)
