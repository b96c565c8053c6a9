"""Actors that plan h actions at once, and what decides how many of them are executed. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from softrl.math.chunks import executed_length, length_mask, masked, powers
from softrl.math.densities import squash_components
from softrl.nn.actors import Actor
from softrl.nn.trunks import TrunkConfig
from softrl.types import Actions, Spec


class Lengths(nn.Module, ABC):
    """How many actions of a plan are executed before the next plan is made."""

    @abstractmethod
    def forward(self, z: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor]:
        """The lengths of plans made at latents [B,D], [B] in 1..h, and the mean confidence in their actions, [B]."""


class AllLengths(Lengths):
    """Plans are executed to their end, as if nothing were doubted: confidence 1."""

    def __init__(self, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon

    def forward(self, z: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor]:
        return torch.full((len(z),), self.horizon, device=z.device), z.new_ones(len(z))


class ConfidentLengths(Lengths):
    """Plans end before the first confidence c_2..c_h below a threshold; while collecting, some are executed whole.

    c = sigmoid(out(trunk(z))), a network of its own. softrl's own, unpublished; builds on Q-chunking, arXiv 2507.07969.
    """

    def __init__(self, trunk: TrunkConfig, threshold: float, whole: float, latent: int, horizon: int) -> None:
        super().__init__()
        self.threshold, self.whole, self.horizon = threshold, whole, horizon
        self.trunk = trunk.build(latent)
        self.out = self.trunk.out(horizon - 1)

    def logits(self, z: Tensor) -> Tensor:
        """Log-odds of the confidences, [B,D] -> [B,h-1]."""
        return self.out(self.trunk(z))[0]

    def lengths(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What the threshold says of log-odds, and the mean confidence, [B,h-1] -> [B], [B]."""
        confidence = logits.sigmoid()
        return executed_length(confidence, self.threshold), confidence.mean(-1)

    def forward(self, z: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor]:
        length, confidence = self.lengths(self.logits(z))
        if deterministic:
            return length, confidence
        return torch.where(torch.rand(len(z), device=z.device) < self.whole, self.horizon, length), confidence


class ChunkedActor(Actor):
    """A policy over plans x_1..x_h: what its actor says of h * A components, and how many actions k are executed.

    log pi = sum_{i<=k} gamma^(i-1) log pi(x_i | z)

    Only executed actions have entropy, each discounted to when it is executed, as if it had been chosen there: values
    of plans of different lengths then differ by what happens in the world alone. Critics are given masked plans, see
    `softrl.math.chunks`; `sample` and `mode` return whole plans, [B,h*A]. The policy's loss judges plans of the lengths
    that are executed while collecting, some of them whole, so that what is behind the others goes on being learned.
    """

    def __init__(self, actor: Any, lengths: Lengths, spec: Spec) -> None:
        super().__init__()
        self.actor, self.lengths, self.horizon, self.gamma = actor, lengths, spec.chunk, spec.gamma

    @property
    def trunk(self) -> nn.Module:
        """Body of the network that plans."""
        trunk: nn.Module = self.actor.trunk
        return trunk

    @property
    def out(self) -> nn.Module:
        """Its output layer."""
        out: nn.Module = self.actor.out
        return out

    def distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of whole plans before the squashing, [B,D] -> [B,h*A], [B,h*A]."""
        moments: tuple[Tensor, Tensor] = self.actor.distribution(z)
        return moments

    def plan(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Reparametrised plans and the discounted log-density of each number in them, [B,D] -> [B,h,A], [B,h,A]."""
        value, log_prob = (x.unflatten(-1, (self.horizon, -1)) for x in squash_components(*self.distribution(z)))
        return value, powers(self.gamma, self.horizon, z.device)[:, None] * log_prob

    def forward(self, z: Tensor) -> Actions:
        plan, log_prob = self.plan(z)
        with torch.no_grad():  # what is tried while collecting is not the policy
            length, _ = self.lengths(z, deterministic=True)
        return self.executed(plan, log_prob, length)

    def executed(self, plan: Tensor, log_prob: Tensor, length: Tensor) -> Actions:
        """The beginnings of plans that are executed, [B,h,A], [B,h,A], [B] -> Actions."""
        value = masked(plan, length).flatten(-2)  # [B,h*(A+1)]
        charged = log_prob.where(length_mask(length, self.horizon)[..., None], 0.0).sum((-2, -1))  # [B]
        return Actions(value[None], charged[None, :, None], torch.ones_like(charged)[None])

    def sample(self, z: Tensor) -> Tensor:
        return self.actor.sample(z)

    def mode(self, z: Tensor) -> Tensor:
        return self.actor.mode(z)
