"""Kinds of stochastic latents: what their parameters mean, and how a latent is drawn from them.

Shapes: see `softrl.types`; parameters are [..,numbers], a latent [..,width].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from softrl.errors import UserError
from softrl.math.latents import choice_entropy, choice_kl, normal_entropy, normal_kl, straight_through


@dataclass(frozen=True)
class Normal:
    """Independent Gaussians, std = softplus(raw) + minimum_std (Dreamer, arXiv 1912.01603)."""

    size: int = 30
    """Numbers in a latent."""
    minimum_std: float = 0.1
    """Smallest standard deviation."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"size is {self.size}: a latent needs at least one number")
        if self.minimum_std <= 0:
            raise UserError(f"minimum_std is {self.minimum_std}: it must be positive, such as 0.1")

    @property
    def width(self) -> int:
        """Numbers in a latent."""
        return self.size

    @property
    def numbers(self) -> int:
        """Numbers in the parameters: a mean and a raw deviation for each."""
        return 2 * self.size

    def moments(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, [..,S] each."""
        mean, raw = params.chunk(2, -1)
        return mean, F.softplus(raw) + self.minimum_std

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What makes draws random, [*shape,S]."""
        return torch.randn(*shape, self.size, device=like.device)

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """The latents that parameters and noise give, reparametrised."""
        mean, std = self.moments(params)
        return torch.addcmul(mean, std, noise)

    def typical(self, params: Tensor) -> Tensor:
        """The mean."""
        return self.moments(params)[0]

    def divergence(self, params: Tensor, other: Tensor) -> Tensor:
        """KL(params || other) in nats, [..]."""
        return normal_kl(*self.moments(params), *self.moments(other))

    def entropy(self, params: Tensor) -> Tensor:
        """Differential entropy in nats, [..]."""
        return normal_entropy(self.moments(params)[1])


@dataclass(frozen=True)
class OneHot:
    """Groups of one-hots with straight-through gradients (DreamerV2, arXiv 2010.02193).

    Probabilities are mixed with a little of the uniform ones (DreamerV3, arXiv 2301.04104).
    """

    groups: int = 32
    """One-hots in a latent."""
    classes: int = 32
    """Options of each."""
    uniform: float = 0.01
    """Share of the uniform distribution in the probabilities."""

    def __post_init__(self) -> None:
        if self.groups < 1 or self.classes < 2:
            raise UserError(
                f"a latent of {self.groups} groups of {self.classes} classes says nothing: use at least 1 group of 2"
            )
        if not 0 < self.uniform < 1:
            raise UserError(f"uniform is {self.uniform}: a share of the probabilities must lie in (0, 1), such as 0.01")

    @property
    def width(self) -> int:
        """Numbers in a latent."""
        return self.groups * self.classes

    @property
    def numbers(self) -> int:
        """Numbers in the parameters: a logit for each option."""
        return self.width

    def log_prob(self, params: Tensor) -> Tensor:
        """Log-probabilities of the options, [..,G,C]."""
        softmax = params.unflatten(-1, (self.groups, self.classes)).softmax(-1)
        return (softmax * (1 - self.uniform) + self.uniform / self.classes).log()

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What makes draws random, [*shape,G,C]."""
        return torch.empty(*shape, self.groups, self.classes, device=like.device).exponential_()

    def draw(self, params: Tensor, noise: Tensor) -> Tensor:
        """The latents that parameters and noise give."""
        return straight_through(self.log_prob(params), noise).flatten(-2)

    def typical(self, params: Tensor) -> Tensor:
        """The likeliest options."""
        best = self.log_prob(params).argmax(-1)
        return F.one_hot(best, self.classes).flatten(-2).float()

    def divergence(self, params: Tensor, other: Tensor) -> Tensor:
        """KL(params || other) in nats, [..]."""
        return choice_kl(self.log_prob(params), self.log_prob(other))

    def entropy(self, params: Tensor) -> Tensor:
        """Entropy in nats, [..]."""
        return choice_entropy(self.log_prob(params))


AnyLatent = Normal | OneHot
"""Every kind of latent; `Normal` is the default."""
