"""The policy of choices with continuous parameters.

Shapes: see `softrl.types`; L logits, S options, P parameters, G groups.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.bounds import check_log_std, check_mean, log_std_bound, mean_bound
from softrl.math.choices import check_joint, places
from softrl.math.densities import squash, squashed
from softrl.nn.actors import Actor
from softrl.nn.choices import JointChoices
from softrl.nn.networks import AnyTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.types import Actions, Spec


@dataclass(frozen=True)
class Hybrid:
    """pi(d, c|z) = pi(d|z) pi(c|z, d): choices d enumerated, squashed Gaussian parameters c sampled (arXiv 1912.11077).

    Expectations over d are exact, up to 1024 combinations. Assumptions: without `joint`, choices are independent of
    each other given the state; without `dependent`, so are choices and parameters.
    """

    trunk: AnyTrunk = field(default_factory=MLP)
    """Body of the network."""
    dependent: bool = True
    """Whether every joint choice has a distribution of parameters of its own; else one serves all of them."""
    joint: bool = False
    """Whether one softmax over all combinations takes the place of one for each choice."""
    log_std_min: float = -20.0
    """Smallest log standard deviation before the squashing."""
    log_std_max: float = 2.0
    """Largest log standard deviation before the squashing."""
    log_std_bound: Literal["clamp", "tanh"] = "clamp"
    """How log standard deviations are kept within their bounds: cut off, or smoothly by a tanh."""
    mean_bound: float | None = None
    """Largest size of a mean before the squashing, approached smoothly; beyond 5 the tanh has next to no slope."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_log_std(self.log_std_min, self.log_std_max)
        check_mean(self.mean_bound)

    @property
    def offers(self) -> frozenset[str]:
        """Parameters that all weighted actions of a row share, where they do not depend on the choice."""
        return frozenset(() if self.dependent else {"shared parameters"})

    def build(self, latent: int, spec: Spec) -> "HybridActor":
        """The module for latents of width `latent`; raises UserError for a space that is not choices and numbers."""
        if not spec.continuous:
            raise UserError("the Hybrid actor needs a continuous part and this action space has none: use Categorical")
        check_joint("the Hybrid actor", spec.choices)
        return HybridActor(self, latent, spec)


class HybridActor(Actor):
    """K = J joint choices with their probabilities, each with one reparametrised draw of its parameters (C = 2).

    G = J groups of parameters, one for each joint choice, or a single group for all of them.
    """

    places: Tensor

    def __init__(self, config: Hybrid, latent: int, spec: Spec) -> None:
        super().__init__()
        self.choices, self.parts = JointChoices(spec.choices, config.joint), spec.continuous
        self.bound, self.mean_bound = log_std_bound(config), mean_bound(config.mean_bound)
        self.groups = len(self.choices.combinations) if config.dependent else 1
        self.register_buffer("places", places(spec.choices) * config.dependent, persistent=False)
        self.trunk = config.trunk.build(latent)
        self.out = self.trunk.out(self.choices.logits + 2 * self.groups * spec.continuous)

    def distributions(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of choices [B,L]; mean and log standard deviation of each group's parameters, [G,B,P]."""
        row = self.out(self.trunk(z))[0]
        logits, moments = row.split([self.choices.logits, 2 * self.groups * self.parts], -1)
        mean, raw = moments.unflatten(-1, (2, self.groups, self.parts)).permute(1, 2, 0, 3)
        return logits, self.mean_bound(mean), self.bound(raw)

    def forward(self, z: Tensor) -> Actions:  # [B,D]
        logits, mean, log_std = self.distributions(z)
        parameters, density = squash(mean, log_std)  # [G,B,P], [G,B]
        log_prob = self.choices.joint(logits)  # [K,B]
        chosen, count = self.choices.value(len(z)), len(log_prob)
        value = torch.cat([chosen, parameters.expand(count, -1, -1)], -1)  # [K,B,S+P]
        return Actions(value, torch.stack([log_prob, density.expand(count, -1)], -1), log_prob.exp())

    def sample(self, z: Tensor) -> Tensor:
        logits, mean, log_std = self.distributions(z)
        chosen = self.choices.sample(logits)
        return torch.cat([chosen, squashed(self.of(chosen, mean), self.of(chosen, log_std))], -1)

    def mode(self, z: Tensor) -> Tensor:
        """The likeliest choices with the median of their parameters."""
        logits, mean, _ = self.distributions(z)
        chosen = self.choices.mode(logits)
        return torch.cat([chosen, self.of(chosen, mean).tanh()], -1)

    def of(self, chosen: Tensor, groups: Tensor) -> Tensor:
        """The entries of the group that belongs to chosen one-hots, [B,S], [G,B,P] -> [B,P]."""
        group = (chosen * self.places).sum(-1).round().long()  # [B]
        return groups.take_along_dim(group[None, :, None], 0)[0]
