"""What keeps a policy near the actions in replay: behaviour priors. Shapes: see `softrl.types`; h actions of a plan."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from softrl.agent.penalty import check_strength
from softrl.errors import UserError
from softrl.math.densities import normal_log_prob, squash_log_det
from softrl.nn.encoders import Losses
from softrl.types import Batch, Spec

if TYPE_CHECKING:
    from softrl.agent.agent import Agent

Chosen = Callable[["Agent", Batch, Tensor], Tensor]
"""Which rows are cloned, [B], of an agent, a batch and the values [B] of the policy's own actions."""
LARGEST = 1 - 1e-5
"""Size to which replayed actions are cut: a squashed Gaussian never says -1 or 1."""


class Imitation(nn.Module, ABC):
    """Named losses on what the policy says of replayed actions."""

    @abstractmethod
    def forward(self, agent: "Agent", b: Batch, value: Tensor) -> Losses:
        """Losses at a batch, where the critics value the policy's own actions at `value`, [B] without gradient."""


@dataclass(frozen=True)
class Unguided:
    """None: what was done before says nothing of what to do."""

    best = 0.0
    needs = frozenset[str]()

    def build(self, spec: Spec) -> "NoImitation":
        """The module, without state."""
        return NoImitation()


class NoImitation(Imitation):
    """No losses."""

    def forward(self, agent: "Agent", b: Batch, value: Tensor) -> Losses:
        return {}


@dataclass(frozen=True)
class Cloning:
    """strength * E[ -log pi(a|s) ] over replayed actions, the prior of QC-RLPD (arXiv 2507.07969, appendix)."""

    strength: float = 0.01
    """Weight of the loss, in units of return for each nat."""
    best = 0.0
    needs = frozenset({"distribution"})

    def __post_init__(self) -> None:
        check_strength("agent.imitation", self.strength, "Unguided")

    def build(self, spec: Spec) -> "Cloned":
        """The module, without state."""
        return Cloned(self.strength, spec, every)


@dataclass(frozen=True)
class SelectiveCloning:
    """Cloning of those replayed actions that the critics value above the policy's own (arXiv 1709.10089, eq. 5).

    It needs no good data: what the policy has outgrown is left alone.
    """

    strength: float = 0.01
    """Weight of the loss, in units of return for each nat."""
    best = 0.0
    needs = frozenset({"distribution"})

    def __post_init__(self) -> None:
        check_strength("agent.imitation", self.strength, "Unguided")

    def build(self, spec: Spec) -> "Cloned":
        """The module, without state."""
        return Cloned(self.strength, spec, better)


@dataclass(frozen=True)
class EpisodeCloning:
    """Cloning of what was done in the best of the finished episodes in replay (%BC, arXiv 2106.01345, section 5.1).

    Which these are changes with every episode that ends; until two have ended, none are.
    """

    strength: float = 0.1
    """Weight of the loss, in units of return for each nat; only about a share `best` of the rows has one."""
    best: float = 0.1
    """Share of the finished episodes that are cloned, by their return; those up to the median never are."""
    needs = frozenset({"distribution"})

    def __post_init__(self) -> None:
        check_strength("agent.imitation", self.strength, "Unguided")
        if not 0 < self.best <= 0.5:
            raise UserError(
                f"agent.imitation.best is {self.best}: a share in (0, 0.5] of the episodes is cloned, recipe bc clones "
                "all of them"
            )

    def build(self, spec: Spec) -> "Cloned":
        """The module, without state; raises UserError where a window may span episodes."""
        if spec.sequence:
            raise UserError(
                "agent.imitation EpisodeCloning picks windows by their episode, and those of a world model span "
                "several: use recipe bc or bc_better"
            )
        return Cloned(self.strength, spec, outstanding)


class Cloned(Imitation):
    """strength / B * sum_b w_b sum_i [ i was taken ] (-log pi(x_i | s)).

    w is 1 for every row, or [ rule(Q(s, a)) > E_{a'~pi} rule(Q(s, a')) ] where the better ones alone are chosen, or 1
    for rows of the best episodes. Rows without weight hold no decision, and none is cloned.
    """

    def __init__(self, strength: float, spec: Spec, chosen: Chosen) -> None:
        super().__init__()
        self.chosen = chosen
        self.strength, self.horizon, self.width = strength, spec.chunk, spec.continuous

    def forward(self, agent: "Agent", b: Batch, value: Tensor) -> Losses:
        count = len(value)  # of the first view
        replayed = b.action[:count].unflatten(-1, (self.horizon, -1))  # [B,h,A], of plans [B,h,A+1]
        moments = agent.actor.distribution(b.policy_z.detach())
        mean, log_std = (moment.unflatten(-1, (self.horizon, self.width)) for moment in moments)
        log_prob = log_density(mean, log_std, replayed[..., : self.width])  # [B,h]
        taken = taken_actions(replayed[..., self.width :], b.discount[:count])
        chosen = self.chosen(agent, b, value) * (b.weight[:count] > 0)
        return {"imitation_loss": -self.strength * (chosen * (taken * log_prob).sum(-1)).mean()}


def every(agent: "Agent", b: Batch, value: Tensor) -> Tensor:
    """All rows are cloned, [B] of 1."""
    return torch.ones_like(value)


def better(agent: "Agent", b: Batch, value: Tensor) -> Tensor:
    """Those rows are cloned whose action the critics like better than the policy's, [B] of 0 and 1."""
    with torch.no_grad():
        replayed = agent.encoder.q_for_actor(agent.actor_q, b, b.action[None, : len(value)])[0]  # [B]
    return (replayed > value).to(value.dtype)


def outstanding(agent: "Agent", b: Batch, value: Tensor) -> Tensor:
    """Those rows are cloned that replay points out, [B] of 0 and 1; raises UserError where it does not."""
    if b.best is None:
        raise UserError(
            "agent.imitation EpisodeCloning clones the rows that a window's `best` points out, and this window has "
            "none: sample it from replay, or say which rows to clone"
        )
    return b.best[: len(value)].to(value.dtype)


def log_density(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """log pi(a) of a = tanh(u), u ~ N(mean, std), at given actions, [..,A] -> [..]."""
    u = action.clamp(-LARGEST, LARGEST).atanh()
    noise = (u - mean) * (-log_std).exp()
    return (normal_log_prob(noise, log_std) - squash_log_det(u)).sum(-1)


def taken_actions(mask: Tensor, discount: Tensor) -> Tensor:
    """Which of the actions that a critic is given were executed, [B,h,0 or 1], [B] -> [B,h] of 0 and 1.

    Behind a termination, which leaves no discount, a plan is filled up with actions that nobody took. How many is not
    known, so there the first alone counts; each action is the first of some row. Single actions have no mask.
    """
    first = torch.arange(mask.shape[1], device=mask.device) == 0
    return mask.prod(-1) * (first | (discount[:, None] > 0))
