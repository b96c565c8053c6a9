"""How critics are moved towards their targets. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.rules import HeadTraits
from softrl.nn.heads import Prediction
from softrl.types import Atoms, Batch

if TYPE_CHECKING:
    from softrl.agent.agent import Agent


class Regression(nn.Module, ABC):
    """The error of every row."""

    @abstractmethod
    def forward(self, agent: "Agent", b: Batch, q: Prediction, y: Atoms) -> Tensor:
        """What the predictions [E,1,B,W] of taken actions lose to the target [B,M], [E,B]."""


@dataclass(frozen=True)
class Plain:
    """None: the loss of the critic's head as it is."""

    needs = frozenset[str]()

    def check(self, head: HeadTraits) -> None:
        """Any head will do."""

    def build(self) -> "PlainRegression":
        """The module, without state."""
        return PlainRegression()


class PlainRegression(Regression):
    """loss(Q, y)."""

    def forward(self, agent: "Agent", b: Batch, q: Prediction, y: Atoms) -> Tensor:
        loss: Tensor = agent.critic.loss(q, y)
        return loss


@dataclass(frozen=True)
class Clipped:
    """The larger loss of Q and of Q held within a distance of its target copy's value (SD-SAC, arXiv 2209.10081)."""

    distance: float = 0.5
    """How far a value may go from the target copy's and still lower its loss."""
    needs = frozenset({"target copy"})

    def __post_init__(self) -> None:
        if self.distance <= 0:
            raise UserError(f"agent.regression.distance is {self.distance}: it must be positive, Plain does not clip")

    def check(self, head: HeadTraits) -> None:
        """Raises UserError where the numbers of an output are not values."""
        if not head.equal_weights:
            raise UserError(
                f"agent.regression Clipped holds values near older ones, and a {type(head).__name__} head learns "
                "probabilities: use agent.critic.head Scalar or Quantile, or agent.regression Plain"
            )

    def build(self) -> "ClippedRegression":
        """The module, without state."""
        return ClippedRegression(self.distance)


class ClippedRegression(Regression):
    """max { loss(Q, y), loss(Q' + clip(Q - Q', -distance, distance), y) }, Q' the target copy at (s, a)."""

    def __init__(self, distance: float) -> None:
        super().__init__()
        self.distance = distance

    def forward(self, agent: "Agent", b: Batch, q: Prediction, y: Atoms) -> Tensor:
        with torch.no_grad():
            z = b.z if b.old_z is None else b.old_z
            old = agent.lookahead.target(z, b.action[None]).output  # [E,1,B,W]
        near = old + (q.output - old).clamp(-self.distance, self.distance)
        return torch.maximum(agent.critic.loss(q, y), agent.critic.loss(q._replace(output=near), y))
