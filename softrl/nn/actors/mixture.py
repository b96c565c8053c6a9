"""The mixture of squashed Gaussians, a policy with several peaks. Shapes: see `softrl.types`; K components here."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.bounds import check_log_std, log_std_bound
from softrl.math.choices import likeliest, sample_one_hot
from softrl.math.densities import normal_log_prob, squash_log_det, squashed, standard_normal
from softrl.nn.actors import Actor
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Mixture:
    """a = tanh(u), u ~ sum_k w_k(z) N(mean_k(z), std_k(z)), as in the first code of arXiv 1801.01290."""

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    components: int = 4
    """Gaussians; the critic judges one action of each."""
    log_std_min: float = -20.0
    """Smallest log standard deviation before the squashing."""
    log_std_max: float = 2.0
    """Largest log standard deviation before the squashing."""
    log_std_bound: Literal["clamp", "tanh"] = "clamp"
    """How log standard deviations are kept within their bounds: cut off, or smoothly by a tanh."""
    offers = frozenset[str]()
    needs = frozenset({"weighted actions"})

    def __post_init__(self) -> None:
        if self.components < 1:
            raise UserError(f"agent.actor.components is {self.components}: a mixture needs at least 1, try 4")
        check_log_std(self.log_std_min, self.log_std_max)

    def build(self, latent: int, spec: Spec) -> "MixtureActor":
        """The module for latents of width `latent`."""
        return MixtureActor(self, latent, spec)


class MixtureActor(Actor):
    """One reparametrised action of each component, weighted by w_k (C = 1): expectations over components are exact.

    log pi(a) = log sum_k w_k N(u; mean_k, std_k) - sum_i log(1 - tanh(u_i)^2),  of the whole mixture at every action.
    """

    def __init__(self, config: Mixture, latent: int, spec: Spec) -> None:
        super().__init__()
        self.components, self.action = config.components, spec.continuous
        self.bound = log_std_bound(config)
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(config.components * (1 + 2 * spec.continuous))

    def distributions(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights [B,K]; mean and log standard deviation before the squashing, [K,B,A]."""
        row = self.out(self.trunk(z))[0]
        logits, moments = row.split([self.components, 2 * self.components * self.action], -1)
        mean, raw = moments.unflatten(-1, (2, self.components, self.action)).permute(1, 2, 0, 3)
        return logits.log_softmax(-1), mean, self.bound(raw)

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        log_weight, mean, log_std = self.distributions(z)
        noise = standard_normal(mean)
        u = mean + log_std.exp() * noise  # [K,B,A]
        log_prob = mixture_log_prob(u, noise, log_weight.T, mean, log_std) - squash_log_det(u).sum(-1)
        return Actions(u.tanh(), log_prob[..., None], log_weight.T.exp())

    def sample(self, z: Tensor) -> Tensor:
        log_weight, mean, log_std = self.distributions(z)
        chosen = sample_one_hot(log_weight, (self.components,))
        return squashed(of(chosen, mean), of(chosen, log_std))

    def mode(self, z: Tensor) -> Tensor:
        """The squashed mean of the component with the largest weight."""
        log_weight, mean, _ = self.distributions(z)
        return of(likeliest(log_weight, (self.components,)), mean).tanh()


def mixture_log_prob(u: Tensor, noise: Tensor, log_weight: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """log sum_j w_j N(u_k; mean_j, std_j) at each component's own u_k = mean_k + std_k noise_k.

    `log_weight` is [K,B] and the others [K,B,A]; returns [K,B].
    """
    standard = (u[:, None] - mean) / log_std.exp()  # [K,J,B,A]: u of component k as component j sees it
    own = torch.eye(len(u), dtype=torch.bool, device=u.device)[:, :, None, None]
    # A small deviation is lost in u - mean, and the noise is what was added.
    standard = torch.where(own, noise[:, None], standard)
    return (normal_log_prob(standard, log_std).sum(-1) + log_weight).logsumexp(1)


def of(chosen: Tensor, components: Tensor) -> Tensor:
    """The entries of the component that each row's one-hot names, [B,K], [K,B,A] -> [B,A]."""
    return components.take_along_dim(chosen.argmax(-1)[None, :, None], 0)[0]
