"""The Beta policy, whose support is bounded by itself. Shapes: see `softrl.types`."""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Gamma

from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Beta:
    """a = 2x - 1, x ~ Beta(p, q) with independent components, p = 1 + softplus, q = 1 + softplus (arXiv 2409.04971).

    Concentrations above one have one peak (Chou et al. 2017); both at one are the uniform distribution.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    concentration_max: float = 1000.0
    """Largest p and q: at 1000 the standard deviation is 0.02, and above it float32 loses digits of the density."""
    offers = frozenset[str]()
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        if self.concentration_max <= 1:
            raise UserError(
                f"agent.actor.concentration_max is {self.concentration_max}: concentrations begin at 1, try 1000"
            )

    def build(self, latent: int, spec: Spec) -> "BetaActor":
        """The module for latents of width `latent`."""
        return BetaActor(self, latent, spec)


class BetaActor(Actor):
    """One reparametrised action of weight one (K = 1, C = 1).

    x = g / (g + h) of Gamma draws g ~ Gamma(p), h ~ Gamma(q), so a = tanh(u / 2) with u = log g - log h, and

        log pi(a) = sum_i [ (p - 1) log sigmoid(u) + (q - 1) log sigmoid(-u) - log B(p, q) - log 2 ].

    Gradients pass through the draws by implicit differentiation (Figurnov et al. 2018, arXiv 1805.08498).
    """

    def __init__(self, config: Beta, latent: int, spec: Spec) -> None:
        super().__init__()
        self.largest = config.concentration_max - 1
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(2 * spec.continuous)

    def excess(self, z: Tensor) -> Tensor:
        """p - 1 and q - 1, [B,D] -> [2,B,A]."""
        raw = self.out(self.trunk(z))[0].unflatten(-1, (2, -1)).movedim(1, 0)
        return F.softplus(raw).clamp(max=self.largest)

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        excess = self.excess(z)
        u = sample_logit(excess)
        shares = torch.stack([F.logsigmoid(u), F.logsigmoid(-u)])  # [2,B,A]: log x, log(1 - x)
        log_beta = torch.lgamma(excess + 1).sum(0) - torch.lgamma(excess.sum(0) + 2)
        log_prob = ((excess * shares).sum(0) - log_beta - math.log(2)).sum(-1)
        return Actions(torch.tanh(u / 2)[None], log_prob[None, :, None], torch.ones_like(log_prob)[None])

    def sample(self, z: Tensor) -> Tensor:
        return torch.tanh(sample_logit(self.excess(z)) / 2)

    def mode(self, z: Tensor) -> Tensor:
        p, q = self.excess(z)
        return (p - q) / (p + q).clamp_min(torch.finfo(p.dtype).tiny)


def sample_logit(excess: Tensor) -> Tensor:
    """Reparametrised draws of log(x / (1 - x)), x ~ Beta, [2,..] -> [..]."""
    g, h = Gamma(excess + 1, torch.ones_like(excess), validate_args=False).rsample().log()
    return g - h
