"""Kinds of stochastic latents: what a row of numbers means, and how a latent is drawn from it.

Shapes: see `softrl.types`; a row is [..,numbers], a latent [..,width].
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
        """Numbers in a row: a mean and a raw deviation for each."""
        return 2 * self.size

    def moments(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, [..,S] each."""
        mean, raw = row.chunk(2, -1)
        return mean, F.softplus(raw) + self.minimum_std

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What makes draws random, [*shape,S]."""
        return torch.randn(*shape, self.size, device=like.device)

    def draw(self, row: Tensor, noise: Tensor) -> Tensor:
        """The latents that rows and noise give, reparametrised."""
        mean, std = self.moments(row)
        return torch.addcmul(mean, std, noise)

    def typical(self, row: Tensor) -> Tensor:
        """The mean."""
        return self.moments(row)[0]

    def divergence(self, row: Tensor, other: Tensor) -> Tensor:
        """KL(row || other) in nats, [..]."""
        return normal_kl(*self.moments(row), *self.moments(other))

    def entropy(self, row: Tensor) -> Tensor:
        """Differential entropy in nats, [..]."""
        return normal_entropy(self.moments(row)[1])


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
        """Numbers in a row: a logit for each option."""
        return self.width

    def log_prob(self, row: Tensor) -> Tensor:
        """Log-probabilities of the options, [..,G,C]."""
        softmax = row.unflatten(-1, (self.groups, self.classes)).softmax(-1)
        return (softmax * (1 - self.uniform) + self.uniform / self.classes).log()

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What makes draws random, [*shape,G,C]."""
        return torch.empty(*shape, self.groups, self.classes, device=like.device).exponential_()

    def draw(self, row: Tensor, noise: Tensor) -> Tensor:
        """The latents that rows and noise give."""
        return straight_through(self.log_prob(row), noise).flatten(-2)

    def typical(self, row: Tensor) -> Tensor:
        """The likeliest options."""
        best = self.log_prob(row).argmax(-1)
        return F.one_hot(best, self.classes).flatten(-2).float()

    def divergence(self, row: Tensor, other: Tensor) -> Tensor:
        """KL(row || other) in nats, [..]."""
        return choice_kl(self.log_prob(row), self.log_prob(other))

    def entropy(self, row: Tensor) -> Tensor:
        """Entropy in nats, [..]."""
        return choice_entropy(self.log_prob(row))


AnyLatent = Normal | OneHot
"""Every kind of latent; `Normal` is the default."""
