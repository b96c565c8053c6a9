"""The policy of generalised state-dependent exploration (gSDE). Shapes: see `softrl.types`; F features of its trunk."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.actors import SquashedActor
from softrl.nn.layers import without_decay
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

EPSILON = 1e-6
"""Added to the variance, which is zero where all features are."""


@dataclass(frozen=True)
class GSDE:
    """a = tanh(mean(z) + features(z) (std * noise)) with a noise matrix, redrawn now and then (arXiv 2005.05719)."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network: mean and noise are linear in its features."""
    log_std_initial: float = -3.0
    """Log standard deviation of every entry of the exploration matrix at the start."""
    mean_bound: float = 2.0
    """Largest absolute mean before the squashing."""
    offers = frozenset({"distribution", "exploration matrix"})
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        if self.mean_bound <= 0:
            raise UserError(f"agent.actor.mean_bound is {self.mean_bound}: it must be positive, try 2")

    def build(self, latent: int, spec: Spec) -> "GSDEActor":
        """The module for latents of width `latent`."""
        return GSDEActor(self, latent, spec)


class GSDEActor(SquashedActor):
    """u ~ N(mean(z), features(z)^2 std^2), a = tanh(u): what the matrix makes of a state (arXiv 2005.05719, eq. 9).

    One reparametrised action of weight one (K = 1, C = 1). Learning draws every row's action from this Gaussian, which
    has the law of a fresh matrix for each row.
    """

    def __init__(self, config: GSDE, latent: int, spec: Spec) -> None:
        super().__init__()
        self.mean_bound = config.mean_bound
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(spec.continuous)
        self.matrix = (self.trunk.width, spec.continuous)
        self.log_std = nn.Parameter(torch.full(self.matrix, config.log_std_initial))  # [F,A]
        without_decay(self.log_std)  # it would pull every entry of the matrix up to one

    def moments(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Features and mean, [B,D] -> [B,F], [B,A]."""
        features = self.trunk(z)
        return features[0], self.out(features)[0].clamp(-self.mean_bound, self.mean_bound)

    def distribution(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before the squashing, [B,D] -> [B,A], [B,A]."""
        features, mean = self.moments(z)
        variance = features.square() @ (2 * self.log_std).exp()
        return mean, 0.5 * (variance + EPSILON).log()

    def perturbed(self, z: Tensor, noise: Tensor) -> Tensor:
        """Actions [B,A] under standard normal matrices [B,F,A], one for each row of [B,D]."""
        features, mean = self.moments(z)
        return torch.tanh(mean + (features[:, None] @ (self.log_std.exp() * noise))[:, 0])
