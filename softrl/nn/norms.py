"""Normalisation with a leading axis of members. Shapes: see `softrl.types`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.nn.layers import Activation, Projected, inverse_norm, switched, without_decay

NormName = Literal["none", "layer", "rms", "batch", "batch_renorm"]
Place = Literal["before", "after"]
BATCH_STATISTICS = "batch statistics"
"""What a configuration `needs` when its network holds a BatchNorm."""


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(var + epsilon) * w + b over the features (arXiv 1607.06450): [B,W] or [E,B,W] -> [E,B,W]."""

    def __init__(self, width: int, members: int = 1, epsilon: float = 1e-5, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((members, 1, width), scale))
        self.bias = nn.Parameter(torch.zeros(members, 1, width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:  # [B,W] or [E,B,W] -> [E,B,W]
        return torch.addcmul(self.bias, F.layer_norm(x, x.shape[-1:], eps=self.epsilon), self.weight)


class RMSNorm(nn.Module):
    """x / sqrt(mean x^2 + epsilon) * w over the features (arXiv 1910.07467): [B,W] or [E,B,W] -> [E,B,W]."""

    def __init__(self, width: int, members: int = 1, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, 1, width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:  # [B,W] or [E,B,W] -> [E,B,W]
        return F.rms_norm(x, x.shape[-1:], eps=self.epsilon) * self.weight


class Batched(nn.Module, ABC):
    """A norm with the statistics of the batch inside `batch_statistics`, elsewhere with the running ones.

    The variance is that of the batch (divided by B) in both places. [B,W] or [E,B,W] -> [E,B,W].
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, width: int, members: int = 1, momentum: float = 0.01, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(members, 1, width))
        self.bias = nn.Parameter(torch.zeros(members, 1, width))
        self.register_buffer("mean", torch.zeros(members, 1, width))
        self.register_buffer("variance", torch.ones(members, 1, width))
        self.register_buffer("count", torch.zeros(()))
        self.momentum, self.epsilon = momentum, epsilon
        self.of_batch = False

    def forward(self, x: Tensor) -> Tensor:  # [B,W] or [E,B,W] -> [E,B,W]
        if not self.of_batch:
            return scaled(x - self.mean, self.weight * (self.variance + self.epsilon).rsqrt(), self.bias)
        variance, mean = torch.var_mean(x, -2, correction=0, keepdim=True)  # [1,W] or [E,1,W]
        scale, shift = self.affine(mean, variance)
        self.remember(mean, variance)
        return scaled(x - mean, scale, shift)

    @abstractmethod
    def affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """What x - m of a batch with these moments is multiplied by, and what is added to it, [E,1,W] each."""

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        self.mean.lerp_(mean.expand_as(self.mean), self.momentum)
        self.variance.lerp_(variance.expand_as(self.variance), self.momentum)
        self.count.add_(1)


def scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift, [E,B,W], with one number of [E,1,W] for each feature."""
    # As parts of one tensor they are computed once; else a compiler takes their roots anew for every row.
    scale, shift = torch.cat([scale, shift], -2).split(1, -2)
    return torch.addcmul(shift, x, scale)


class BatchNorm(Batched):
    """(x - m) / sqrt(v + epsilon) * w + b with a batch's mean and variance (arXiv 1502.03167), [..,B,W] -> [E,B,W]."""

    def affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        return self.weight * (variance + self.epsilon).rsqrt(), self.bias


class BatchRenorm(Batched):
    """Batch normalisation, its output moved towards what the running statistics would give (arXiv 1702.03275).

        (x - m) / s * r + d,  then  * w + b;    s = sqrt(v + epsilon)
        r = s / s_run within [1 / ratio_limit, ratio_limit]
        d = (m - m_run) / s_run within [-shift_limit, shift_limit]

    without gradients through r and d, once `warmup` batches were seen; before, r = 1 and d = 0. The limits are those of
    CrossQ (arXiv 1902.05605); 1 and 0 are plain batch normalisation. [B,W] or [E,B,W] -> [E,B,W].
    """

    def __init__(
        self,
        width: int,
        members: int = 1,
        momentum: float = 0.01,
        epsilon: float = 1e-3,
        ratio_limit: float = 3.0,
        shift_limit: float = 5.0,
        warmup: int = 100_000,
    ) -> None:
        super().__init__(width, members, momentum, epsilon)
        self.ratio_limit, self.shift_limit, self.warmup = ratio_limit, shift_limit, warmup

    def affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        deviation = (variance + self.epsilon).sqrt()
        ratio, shift = self.correction(mean, deviation)
        return self.weight * ratio / deviation, torch.addcmul(self.bias, self.weight, shift)

    @torch.no_grad()
    def correction(self, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """r and d, [E,1,W] each; 1 and 0 before the end of the warm-up."""
        running = (self.variance + self.epsilon).sqrt()
        ready = self.count >= self.warmup
        ratio = (deviation / running).clamp(1 / self.ratio_limit, self.ratio_limit)
        shift = ((mean - self.mean) / running).clamp(-self.shift_limit, self.shift_limit)
        return torch.where(ready, ratio, 1.0), torch.where(ready, shift, 0.0)


def batch_statistics(module: nn.Module) -> AbstractContextManager[None]:
    """Inside, every batch norm below `module` uses the statistics of its batch and moves its running ones, in place."""
    return switched([part for part in module.modules() if isinstance(part, Batched)], "of_batch", True)


class UnitBatchNorm(BatchNorm, Projected):
    """A BatchNorm of W features whose (w, b) has norm sqrt(W) after `project` (FlashSAC, arXiv 2604.04539)."""

    def __init__(self, width: int, members: int = 1) -> None:
        super().__init__(width, members, epsilon=1e-5)
        without_decay(self.weight, self.bias)

    @torch.no_grad()
    def project_(self) -> None:
        squares = (self.weight.square() + self.bias.square()).mean(-1, keepdim=True)  # [E,1,1]
        self.weight.mul_(inverse_norm(squares))
        self.bias.mul_(inverse_norm(squares))


class UnitRMSNorm(RMSNorm, Projected):
    """An RMSNorm of W features whose w has norm sqrt(W) after `project` (FlashSAC, arXiv 2604.04539)."""

    def __init__(self, width: int, members: int = 1) -> None:
        super().__init__(width, members)
        without_decay(self.weight)

    @torch.no_grad()
    def project_(self) -> None:
        self.weight.mul_(inverse_norm(self.weight.square().mean(-1, keepdim=True)))


NORMS: dict[NormName, Callable[[int, int], nn.Module]] = {
    "none": lambda width, members: nn.Identity(),
    "layer": LayerNorm,
    "rms": RMSNorm,
    "batch": BatchNorm,
    "batch_renorm": BatchRenorm,
}


def normed(activation: Activation, width: int, members: int, norm: NormName, place: Place) -> nn.Module:
    """An activation of `width` units and a norm, if any, before or after it."""
    if norm == "none":
        return activation
    if place == "before":
        return nn.Sequential(NORMS[norm](width, members), activation)
    return nn.Sequential(activation, NORMS[norm](width * activation.scale, members))


def needs_of(norm: NormName) -> frozenset[str]:
    """What a network with this norm needs of its surroundings."""
    return frozenset({BATCH_STATISTICS} if norm.startswith("batch") else ())
