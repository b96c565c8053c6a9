"""Actors whose latents are averaged out of their density (SMAC, arXiv 2210.00999). Shapes: see `softrl.types`.

L = 1 + K latents of a row, the one that acts first, F numbers in each.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from softrl.math.bounds import check_log_std, check_mean
from softrl.math.densities import normal_log_prob, squash_log_det, squashed, standard_normal
from softrl.math.latents import ESTIMATORS, Estimator, check_estimator
from softrl.nn.actors import Actor, GaussianOutputs
from softrl.nn.latents import Normal
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Marginal:
    """pi(a | x) = E_z pi(a | z), where the encoder gives the latents z side by side and pi(a | z) is squashed Gaussian.

    One latent alone is the Gaussian actor. Which latents there are is the encoder's business.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network, which reads one latent."""
    log_std_min: float = -20.0
    """Smallest log standard deviation before the squashing."""
    log_std_max: float = 2.0
    """Largest log standard deviation before the squashing."""
    log_std_bound: Literal["clamp", "tanh"] = "clamp"
    """How log standard deviations are kept within their bounds: cut off, or smoothly by a tanh."""
    mean_bound: float | None = None
    """Largest size of a mean before the squashing, approached smoothly; beyond 5 the tanh has next to no slope."""
    estimator: Estimator = "naive"
    """How the density is estimated from the latents; nested has the same expectation and more variance."""
    offers = frozenset({"latents"})
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_log_std(self.log_std_min, self.log_std_max)
        check_mean(self.mean_bound)

    def build(self, latent: int, spec: Spec) -> "MarginalActor":
        """The module for latents of width `latent` each."""
        return MarginalActor(self, latent, spec)


class MarginalActor(GaussianOutputs):
    """One reparametrised action of the first latent and its averaged density (K = 1, C = 1), for [B,L*F].

    log pi(a) = log 1/L sum_l N(u; mean(z_l), std(z_l)) - sum_i log(1 - tanh(u_i)^2),    u ~ pi(. | z_0)

    Its expectation lies above that of the true one, so that entropies are never overestimated.
    """

    def __init__(self, config: Marginal, latent: int, spec: Spec) -> None:
        super().__init__(config, latent, spec)
        self.latent, self.estimate = latent, ESTIMATORS[config.estimator]

    def forward(self, z: Tensor) -> Actions:
        latents = z.unflatten(-1, (-1, self.latent))  # [B,L,F]
        mean, log_std = (x.unflatten(0, latents.shape[:2]) for x in self.distribution(latents.flatten(0, 1)))
        noise = standard_normal(mean[:, 0])
        u = mean[:, 0] + log_std[:, 0].exp() * noise  # [B,A]
        others = (u[:, None] - mean[:, 1:]) / log_std[:, 1:].exp()
        # A small deviation is lost in u - mean, and the noise is what was added.
        standard = torch.cat([noise[:, None], others], 1)
        log_probs = (normal_log_prob(standard, log_std) - squash_log_det(u)[:, None]).sum(-1)  # [B,L]
        log_prob = self.estimate(log_probs)
        return Actions(u.tanh()[None], log_prob[None, :, None], torch.ones_like(log_prob)[None])

    def sample(self, z: Tensor) -> Tensor:
        return squashed(*self.distribution(z[:, : self.latent]))

    def mode(self, z: Tensor) -> Tensor:
        return self.distribution(z[:, : self.latent])[0].tanh()


@dataclass(frozen=True)
class Latent:
    """pi(a | x) = E_{z ~ q(. | x)} pi(a | z) with a learned Gaussian q: SMAC without a world model."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network q, which reads what the encoder gives."""
    latent: Normal = field(default_factory=lambda: Normal(32))
    """What q says of a latent."""
    particles: int = 32
    """Latents drawn beside the one that acts; the density is averaged over all of them."""
    policy: Marginal = field(default_factory=Marginal)
    """The policy given a latent."""
    offers = frozenset[str]()
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_estimator(self.policy.estimator, self.particles)

    def build(self, latent: int, spec: Spec) -> "LatentActor":
        """The module for what the encoder gives, of width `latent`."""
        return LatentActor(self, latent, spec)


class LatentActor(Actor):
    """Latents are drawn from q(z | x) and given to pi(a | z); the deterministic action is that of the mean latent."""

    def __init__(self, config: Latent, latent: int, spec: Spec) -> None:
        super().__init__()
        self.latent, self.count = config.latent, 1 + config.particles
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(config.latent.numbers)
        self.policy = config.policy.build(config.latent.width, spec)

    @property
    def stages(self) -> list[Any]:
        """The networks one after the other, that of the actions last."""
        return [self, self.policy]

    def params(self, x: Tensor) -> Tensor:
        """What q says of the latents, [B,D] -> [B,numbers]."""
        return self.out(self.trunk(x))[0]

    def sample_latents(self, x: Tensor, count: int) -> Tensor:
        """Latents side by side, [B,D] -> [B,count*F]."""
        params = self.params(x)[:, None]
        return self.latent.draw(params, self.latent.noise((len(x), count), params)).flatten(1)

    def forward(self, z: Tensor) -> Actions:
        return self.policy(self.sample_latents(z, self.count))

    def sample(self, z: Tensor) -> Tensor:
        return self.policy.sample(self.sample_latents(z, 1))

    def mode(self, z: Tensor) -> Tensor:
        return self.policy.mode(self.latent.typical(self.params(z)))
