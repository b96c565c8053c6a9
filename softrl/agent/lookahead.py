"""Target networks: how Q(s, a) and Q(s', a') are evaluated, and how the target follows (Polyak).

Each update calls the kind that it `needs`: those that offer an action value with critic, batch and next actions, one of
a state value with the batch alone, and that of imagination (`softrl.agent.dream`) with what was imagined.
Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from softrl.math.rules import draw
from softrl.nn.critics import StateValue
from softrl.nn.heads import Prediction
from softrl.nn.networks import AnyTrunk
from softrl.nn.norms import BATCH_STATISTICS, batch_statistics
from softrl.nn.targets import check_tau, frozen_copy, of_members, polyak_update
from softrl.types import Atoms, Batch, Spec


class WithTarget(nn.Module, ABC):
    """Next actions are judged by a target network, a hard copy of the critic at first."""

    def __init__(self, critic: nn.Module, tau: float) -> None:
        super().__init__()
        self.tau = tau
        self.target = frozen_copy(critic)

    @abstractmethod
    def forward(self, critic: nn.Module, b: Batch, next_action: Tensor) -> tuple[Prediction, Prediction]:
        """Predictions for the taken actions (K = 1) and, without gradient, for the next [K,B,A] actions."""

    def judge(self, critic: nn.Module) -> nn.Module:
        """The network by whose values targets are made: the target."""
        return self.target

    def follow(self, critic: nn.Module) -> None:
        """Move the target towards the critic."""
        polyak_update(self.target, critic, self.tau)


@dataclass(frozen=True)
class Split:
    """A target network, target <- (1 - tau) target + tau critic after each update (arXiv 1801.01290, 1812.05905)."""

    tau: float = 0.005
    """Polyak coefficient; 1 copies the weights (a hard update)."""
    needs = frozenset[str]()
    offers = frozenset({"action value", "target copy", "members drawn"})
    trunks = ()

    def __post_init__(self) -> None:
        check_tau("agent.lookahead.tau", self.tau)

    def build(self, critic: nn.Module, latent: int, spec: Spec) -> "SplitLookahead":
        """The module, its target a hard copy of `critic`."""
        return SplitLookahead(critic, self.tau)


class SplitLookahead(WithTarget):
    """Q(s, a) from the critic, Q(s', a') from its target.

    With `asked` = (n, E) only n of the target's E members are, drawn anew at every call and the same for all rows; the
    agent sets it where its rule looks at no more of them.
    """

    asked: tuple[int, int] | None = None

    def forward(self, critic: nn.Module, b: Batch, next_action: Tensor) -> tuple[Prediction, Prediction]:
        """Predictions for the taken actions (K = 1) and, without gradient, for the next [K,B,A] actions."""
        with torch.no_grad():
            q_next = self.ask_target(b.target_z, next_action)
        return critic(b.z, b.action[None]), q_next

    def ask_target(self, z: Tensor, action: Tensor) -> Prediction:
        """What the members of the target that are asked say of K actions in every row, [B,D], [K,B,A] -> [n,K,B,W]."""
        if self.asked is None:
            said: Prediction = self.target(z, action)
        else:
            size, members = self.asked
            weights = of_members(self.target, draw(members, size, action.device), members)
            said = functional_call(self.target, weights, (z, action))
        return said


@dataclass(frozen=True)
class Joint:
    """The critic judges taken and next actions in one batch, and needs no target copy (CrossQ, arXiv 1902.05605)."""

    needs = frozenset({"batch norms"})  # without them a critic that bootstraps from itself diverges
    offers = frozenset({"action value", BATCH_STATISTICS})
    trunks = ()

    def build(self, critic: nn.Module, latent: int, spec: Spec) -> "JointLookahead":
        """The module, which has no parameters."""
        return JointLookahead()


class JointLookahead(nn.Module):
    """Q(s, a) and Q(s', a') from one pass of the critic over both, whose statistics they share."""

    def forward(self, critic: nn.Module, b: Batch, next_action: Tensor) -> tuple[Prediction, Prediction]:
        """Predictions for the taken actions (K = 1) and, without gradient, for the next [K,B,A] actions."""
        now, ahead = joint(critic, b, next_action)
        return now, detached(ahead)

    def judge(self, critic: nn.Module) -> nn.Module:
        """The network by whose values targets are made: the critic itself."""
        return critic

    def follow(self, critic: nn.Module) -> None:
        """There is nothing to follow."""


@dataclass(frozen=True)
class JointTarget:
    """As `Joint`, with a target network that judges the next actions in a joint pass of its own.

    So do CrossQ with weight normalisation (arXiv 2502.07523), XQC (arXiv 2509.25174) and FlashSAC (arXiv 2604.04539).
    """

    tau: float = 0.005
    """Polyak coefficient; 1 copies the weights (a hard update)."""
    needs = frozenset[str]()
    offers = frozenset({"action value", "target copy", BATCH_STATISTICS})
    trunks = ()

    def __post_init__(self) -> None:
        check_tau("agent.lookahead.tau", self.tau)

    def build(self, critic: nn.Module, latent: int, spec: Spec) -> "JointTargetLookahead":
        """The module, its target a hard copy of `critic`."""
        return JointTargetLookahead(critic, self.tau)


class JointTargetLookahead(WithTarget):
    """Q(s, a) from the critic and Q(s', a') from its target, each in a pass over both."""

    def forward(self, critic: nn.Module, b: Batch, next_action: Tensor) -> tuple[Prediction, Prediction]:
        """Predictions for the taken actions (K = 1) and, without gradient, for the next [K,B,A] actions."""
        with torch.no_grad():
            ahead = joint(self.target, b, next_action)[1]
        return joint(critic, b, next_action)[0], ahead


def joint(critic: nn.Module, b: Batch, next_action: Tensor) -> tuple[Prediction, Prediction]:
    """Predictions for (s, a) and the K (s', a') from a batch of 2B rows, with the statistics of that batch."""
    size = len(b.action)
    z = torch.cat([b.z, b.target_z])
    action = torch.cat([b.action.expand_as(next_action), next_action], 1)  # [K,2B,A]
    with batch_statistics(critic):
        q: Prediction = critic(z, action)
    return part(q, slice(1), slice(size)), part(q, slice(None), slice(size, None))


def part(q: Prediction, actions: slice, rows: slice) -> Prediction:
    """Some of the actions and rows of a prediction."""
    output, value, prob = (x[:, actions, rows] for x in (q.output, *q.atoms))
    return Prediction(output, Atoms(value, prob))


def detached(q: Prediction) -> Prediction:
    """A prediction without gradient."""
    return Prediction(q.output.detach(), Atoms(q.atoms.value.detach(), q.atoms.prob.detach()))


@dataclass(frozen=True)
class StateTarget:
    """A learned state value V and its target judge the next states (arXiv 1801.01290, eq. 5 to 8)."""

    value: StateValue = field(default_factory=StateValue)
    """The network V."""
    tau: float = 0.005
    """Polyak coefficient; 1 copies the weights (a hard update)."""
    needs = frozenset[str]()
    offers = frozenset({"state value"})

    def __post_init__(self) -> None:
        check_tau("agent.lookahead.tau", self.tau)

    @property
    def trunks(self) -> tuple[AnyTrunk, ...]:
        """Bodies of networks that learn beside the critic."""
        return (self.value.trunk,)

    def build(self, critic: nn.Module, latent: int, spec: Spec) -> "StateTargetLookahead":
        """The module, its target a hard copy of V."""
        return StateTargetLookahead(self, latent)


class StateTargetLookahead(nn.Module):
    """V(s) to be learned, and its target to look ahead with."""

    def __init__(self, config: StateTarget, latent: int) -> None:
        super().__init__()
        self.tau = config.tau
        self.value = config.value.build(latent)
        self.target = frozen_copy(self.value)

    def forward(self, b: Batch) -> tuple[Prediction, Atoms]:
        """V(s) to be learned, [1,1,B,W], and the target's atoms of V(s'), [B,M], without gradient."""
        with torch.no_grad():
            ahead = self.target(b.target_z).atoms  # [1,1,B,M]
        return self.value(b.z), Atoms(ahead.value[0, 0], ahead.prob[0, 0])

    def follow(self, critic: nn.Module) -> None:
        """Move the target towards V."""
        polyak_update(self.target, self.value, self.tau)
