"""Particles: several posterior trajectories of every row, and who reads which of them (SMAC, arXiv 2210.00999).

Shapes: see `softrl.types`; L = 1 + count particles of a row, F features of each, R rows.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.latents import log_mean_exp

POOLS = {
    "log_mean_exp": lambda q: log_mean_exp(q, -1),
    "mean": lambda q: q.mean(-1),
    "minimum": lambda q: q.amin(-1),
}


@dataclass(frozen=True)
class Particles:
    """K further trajectories beside the one that acts; none of them is soft actor-critic on the features of one."""

    count: int = 0
    """K, the further trajectories: the policy's density is averaged over K + 1."""
    judged: int = 1
    """Particles of each row that the critic learns from; the expected loss is the same for any number."""
    entropy: Literal["conditional", "marginal"] = "conditional"
    """Whose entropy the critic's target counts: that of the policy given one latent (the published code), or with the
    latents averaged out (the paper)."""
    pool: Literal["log_mean_exp", "mean", "minimum"] = "log_mean_exp"
    """How the values of an action at all particles become one in the policy's loss."""

    def __post_init__(self) -> None:
        if self.count < 0:
            raise UserError(f"agent.encoder.particles.count is {self.count}: use 0, which is latent SAC, or more")
        if not 1 <= self.judged <= 1 + self.count:
            raise UserError(
                f"agent.encoder.particles.judged is {self.judged}: the critic learns from at least 1 of the "
                f"{1 + self.count} particles, and at most all"
            )

    def views(self, features: Tensor) -> Tensor:
        """What the critic reads, [R,L,F] -> [V*R,F]."""
        return features[:, : self.judged].transpose(0, 1).flatten(0, 1)

    def read(self, features: Tensor) -> Tensor:
        """What the policy reads: all particles side by side, the one that acts first, [R,L,F] -> [R,L*F]."""
        return features.flatten(1)

    def ahead(self, features: Tensor) -> Tensor:
        """What the policy reads at the next observation: one row for each view, [R,L,F] -> [V*R,F] or [V*R,L*F]."""
        if self.entropy == "conditional":
            return self.views(features)
        return torch.cat([self.read(features.roll(-view, 1)) for view in range(self.judged)])

    def pooled(self, q: Tensor) -> Tensor:
        """The value of actions over the particles, [K,R,L] -> [K,R]; of one particle it is that one's."""
        return POOLS[self.pool](q)
