"""The policy of choices too many to enumerate jointly.

Shapes: see `softrl.types`; S options of F choices, P continuous parameters.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from softrl.math.bounds import check_log_std, check_mean, log_std_bound, mean_bound
from softrl.math.choices import check_choices, components, likeliest, log_probs, other_options, sample_one_hot
from softrl.math.densities import squash, squashed
from softrl.nn.actors import Actor
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Factored:
    """pi(a|z) = prod_i pi_i(a_i|z), each choice enumerated in turn while the others keep one joint draw.

    Assumption: given the state, choices and continuous parameters are independent of each other. Nothing is assumed of
    the value, which sees whole actions: losses and gradients have the expectations of full enumeration, and the
    variance of the draw. K = S actions instead of the product of the sizes.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    log_std_min: float = -20.0
    """Smallest log standard deviation of a continuous part before the squashing."""
    log_std_max: float = 2.0
    """Largest log standard deviation of a continuous part before the squashing."""
    log_std_bound: Literal["clamp", "tanh"] = "clamp"
    """How log standard deviations are kept within their bounds: cut off, or smoothly by a tanh."""
    mean_bound: float | None = None
    """Largest size of a mean before the squashing, approached smoothly; beyond 5 the tanh has next to no slope."""
    offers = frozenset({"shared parameters"})
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_log_std(self.log_std_min, self.log_std_max)
        check_mean(self.mean_bound)

    def build(self, latent: int, spec: Spec) -> "FactoredActor":
        """The module for latents of width `latent`; raises UserError for a space without choices."""
        check_choices("the Factored actor", spec.choices)
        return FactoredActor(self, latent, spec)


class FactoredActor(Actor):
    """K = S actions: option j of choice i, and one draw of all else, shared by the actions of a row.

    E_pi f = E_draw [ 1/F sum_i sum_j pi_i(j) f(j, others drawn) ]
    """

    other_options: Tensor

    def __init__(self, config: Factored, latent: int, spec: Spec) -> None:
        super().__init__()
        self.choices, self.components = spec.choices, len(components(spec))
        self.bound, self.mean_bound = log_std_bound(config), mean_bound(config.mean_bound)
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(sum(spec.choices) + 2 * spec.continuous)
        self.register_buffer("other_options", other_options(spec.choices), persistent=False)

    def distributions(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of options [B,S]; mean and log standard deviation of the continuous part, [B,P]."""
        row = self.out(self.trunk(z))[0]
        size = len(self.other_options)
        mean, raw = row[:, size:].chunk(2, -1)
        return log_probs(row[:, :size], self.choices), self.mean_bound(mean), self.bound(raw)

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        options, mean, log_std = self.distributions(z)
        parameters, density = squash(mean, log_std)  # [B,P], [B]
        size, option = len(self.other_options), options.detach()
        draw = sample_one_hot(option, self.choices)  # [B,S]
        chosen = draw * self.other_options[:, None] + torch.eye(size, device=z.device)[:, None]  # [K,B,S]
        # Held fixed: its own gradient cancels in the sum over options, that of the drawn ones is noise of mean zero.
        log_prob = (chosen * option).sum(-1)  # [K,B]
        value = torch.cat([chosen, parameters.expand(size, -1, -1)], -1)
        both = torch.stack([log_prob, density.expand(size, -1)], -1)[..., : self.components]  # [K,B,C]
        return Actions(value, both, self.weights(options.T.exp()))

    def weights(self, prob: Tensor) -> Tensor:
        """pi_i(j) / F in value, so that they sum to one, but pi_i(j) in gradient, as choices share no logits, [K,B]."""
        held = prob.detach()
        return held / len(self.choices) + (prob - held)

    def sample(self, z: Tensor) -> Tensor:
        options, mean, log_std = self.distributions(z)
        parameters = squashed(mean, log_std)
        return torch.cat([sample_one_hot(options, self.choices), parameters], -1)

    def mode(self, z: Tensor) -> Tensor:
        """The likeliest choices with the median of the continuous part."""
        options, mean, _ = self.distributions(z)
        return torch.cat([likeliest(options, self.choices), mean.tanh()], -1)
