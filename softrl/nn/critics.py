"""Critics: a trunk, a head and a number of members. Shapes: see `softrl.types`; J joint choices of S options.

P stands for the continuous numbers of an action here, L for the passes of a critic.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.choices import check_joint, places
from softrl.nn.heads import AnyHead, Head, Prediction, Scalar
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec


def check_members(members: int) -> None:
    """Refuse an ensemble of none."""
    if members < 1:
        raise UserError(f"agent.critic.members is {members}: an ensemble needs at least one member")


class ActionValue(nn.Module, ABC):
    """Q(s, a) of an ensemble, for any K actions in each state."""

    head: Head
    reads: int  # numbers of an action that its first layer reads beside the latent

    @abstractmethod
    def forward(self, z: Tensor, action: Tensor) -> Prediction:
        """What all members say of K actions in every row, [B,D], [K,B,A] -> [E,K,B,W]."""

    def loss(self, q: Prediction, target: Atoms) -> Tensor:
        """Regression of the taken action's outputs (K = 1) to the target atoms [B,M], [E,B]."""
        return self.head.loss(q.output[:, 0], target)


@dataclass(frozen=True)
class ActionIn:
    """Q(s, a) with the whole action as an input: for continuous actions, and for choices too many to enumerate."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What the outputs mean and how they are learned."""
    members: int = 2
    """Independent critics in the ensemble."""
    judges = "actions"
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_members(self.members)

    def build(self, latent: int, spec: Spec) -> "ActionInCritic":
        """The module for latents of width `latent`."""
        return ActionInCritic(self, latent, spec)


class ActionInCritic(ActionValue):
    """[B,D], [K,B,A] -> [E,K,B,W]: all members judge all K weighted actions in one pass."""

    def __init__(self, config: ActionIn, latent: int, spec: Spec) -> None:
        super().__init__()
        self.head, self.reads = config.head, spec.action
        self.trunk = config.trunk.build(latent + self.reads, config.members)
        self.out = self.trunk.out(self.head.width)

    def forward(self, z: Tensor, action: Tensor) -> Prediction:  # [B,D], [K,B,A]
        x = torch.cat([z.expand(*action.shape[:-1], -1), action], -1)  # [K,B,D+A]
        output = self.out(self.trunk(x.flatten(0, 1))).unflatten(1, action.shape[:2])  # [E,K,B,W]
        return Prediction(output, self.head.atoms(output))


@dataclass(frozen=True)
class ActionOut:
    """Q(s, .) of every joint choice in one pass, W outputs for each (SAC-discrete, arXiv 1910.07207).

    A continuous part is an input; one pass serves the K actions of a state, so they must share it (arXiv 1912.11077,
    independent heads).
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What the outputs mean and how they are learned."""
    members: int = 2
    """Independent critics in the ensemble."""
    judges = "actions"
    needs = frozenset({"shared parameters"})
    passes = 1

    def __post_init__(self) -> None:
        check_members(self.members)

    def build(self, latent: int, spec: Spec) -> "ActionOutCritic":
        """The module for latents of width `latent`; raises UserError for a space without a few choices."""
        return ActionOutCritic(self, latent, spec)


@dataclass(frozen=True)
class ChoiceOut:
    """Q(s, c, .) with the continuous part c as an input and W outputs for every joint choice (arXiv 1912.11077).

    A pass for each of the K actions, J * W outputs in each; where J is in the hundreds ActionIn costs less.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What the outputs mean and how they are learned."""
    members: int = 2
    """Independent critics in the ensemble."""
    judges = "actions"
    needs = frozenset[str]()
    passes = None

    def __post_init__(self) -> None:
        check_members(self.members)

    def build(self, latent: int, spec: Spec) -> "ActionOutCritic":
        """The module for latents of width `latent`; raises UserError for a space without a few choices."""
        return ActionOutCritic(self, latent, spec)


class ActionOutCritic(ActionValue):
    """[B,D], [K,B,A] -> [E,K,B,W]: J outputs from every pass, of which those of the given one-hots are picked out."""

    places: Tensor

    def __init__(self, config: ActionOut | ChoiceOut, latent: int, spec: Spec) -> None:
        super().__init__()
        check_joint(f"the {type(config).__name__} critic", spec.choices)
        self.head, self.passes, self.reads = config.head, config.passes, spec.continuous
        self.joint = math.prod(spec.choices)
        self.register_buffer("places", places(spec.choices), persistent=False)
        self.trunk = config.trunk.build(latent + self.reads, config.members)
        self.out = self.trunk.out(self.joint * self.head.width)

    def forward(self, z: Tensor, action: Tensor) -> Prediction:  # [B,D], [K,B,A]
        size = len(self.places)
        parameters = action[: self.passes, :, size:]  # [L,B,P], L passes
        x = torch.cat([z.expand(*parameters.shape[:-1], -1), parameters], -1).flatten(0, 1)  # [L*B,D+P]
        outputs = self.out(self.trunk(x)).unflatten(-1, (self.joint, -1)).movedim(2, 1)  # [E,J,L*B,W]
        choices = action[..., :size]
        choices = choices[:, :1] if choices.stride(1) == 0 else choices  # listed ones are the same in all rows
        combination = (choices * self.places).sum(-1).round().long().expand(action.shape[:2])  # [K,B]
        picked = combination.reshape(1, -1, len(x), 1)  # [1,K/L,L*B,1]
        output = outputs.take_along_dim(picked, 1).reshape(len(outputs), *action.shape[:2], -1)  # [E,K,B,W]
        return Prediction(output, self.head.atoms(output))


@dataclass(frozen=True)
class StateValue:
    """V(s): the state value of the 2018 algorithm (arXiv 1801.01290, eq. 5)."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    head: AnyHead = field(default_factory=Scalar)
    """What the outputs mean and how they are learned."""

    members = 1
    judges = "states"
    needs = frozenset[str]()

    def build(self, latent: int, spec: Spec | None = None) -> "StateValueCritic":
        """The module for latents of width `latent`, whatever the actions."""
        return StateValueCritic(self, latent)


class StateValueCritic(nn.Module):
    """[B,D] -> [1,1,B,W]: one member, no action."""

    reads = 0

    def __init__(self, config: StateValue, latent: int) -> None:
        super().__init__()
        self.head = config.head
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(self.head.width)

    def forward(self, z: Tensor, action: Tensor | None = None) -> Prediction:  # [B,D], whatever the action
        output = self.out(self.trunk(z))[:, None]  # [1,1,B,W]
        return Prediction(output, self.head.atoms(output))

    def loss(self, v: Prediction, target: Atoms) -> Tensor:
        """Regression to the target atoms [B,M], [1,B]."""
        return self.head.loss(v.output[:, 0], target)
