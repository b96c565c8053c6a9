"""What teaches an encoder of images beside the critic: nothing, reconstruction, or contrast.

Shapes: see `softrl.types`; `seen` are the views that the encoder saw, bytes [B,C,h,w].
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.images import five_bits, info_nce, strip, visible
from softrl.nn.convolutions import Convolutions, Size


class Auxiliary(nn.Module, ABC):
    """Losses of the latents of images."""

    @abstractmethod
    def forward(self, z: Tensor, seen: Tensor, other: Callable[[], Tensor]) -> dict[str, Tensor]:
        """Named losses of latents z [B,D] of `seen`.

        `other` gives what the target copy makes of another view of the first view's rows, without gradient.
        """

    @abstractmethod
    def self_trained(self, body: nn.Module) -> list[nn.Module]:
        """The modules that the losses train, where `body` makes the latents."""

    @abstractmethod
    def pictures(self, z: Tensor, seen: Tensor) -> dict[str, Tensor]:
        """Pictures to look at, bytes [3,height,width]."""


@dataclass(frozen=True)
class Nothing:
    """None: the critic alone teaches the encoder."""

    compares = False

    def build(self, convolutions: Convolutions, features: int, channels: int, size: Size) -> Auxiliary:
        """The module, without parameters."""
        return NoAuxiliary()


class NoAuxiliary(Auxiliary):
    """No loss."""

    def forward(self, z: Tensor, seen: Tensor, other: Callable[[], Tensor]) -> dict[str, Tensor]:
        return {}

    def self_trained(self, body: nn.Module) -> list[nn.Module]:
        return []

    def pictures(self, z: Tensor, seen: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class Reconstruction:
    """A regularised autoencoder: a decoder draws what was seen from the latents (SAC+AE, arXiv 1910.01741, eq. 4)."""

    penalty: float = 1e-6
    """Price of half the squared length of a latent."""
    compares = False

    def __post_init__(self) -> None:
        if self.penalty < 0:
            raise UserError(f"penalty is {self.penalty}: it must not be negative, 0 switches it off")

    def build(self, convolutions: Convolutions, features: int, channels: int, size: Size) -> Auxiliary:
        """The module for latents of that many features and views of that many channels and that size."""
        return Autoencoder(self, convolutions.mirror(features, channels, size))


class Autoencoder(Auxiliary):
    """mean (five_bits(seen) - decoder(z))^2 + penalty * mean_b 1/2 |z_b|^2."""

    def __init__(self, config: Reconstruction, decoder: nn.Module) -> None:
        super().__init__()
        self.penalty = config.penalty
        self.decoder = decoder

    def forward(self, z: Tensor, seen: Tensor, other: Callable[[], Tensor]) -> dict[str, Tensor]:
        # Channels stand last in the memory of both: with that order of axes every pass over them is a straight one.
        target = five_bits(seen.movedim(1, -1))
        return {
            "reconstruction_loss": F.mse_loss(self.decoder(z).movedim(1, -1), target),
            "latent_penalty": self.penalty * 0.5 * z.square().sum(-1).mean(),
        }

    def self_trained(self, body: nn.Module) -> list[nn.Module]:
        return [body, self.decoder]

    def pictures(self, z: Tensor, seen: Tensor) -> dict[str, Tensor]:
        newest = slice(-3, None)
        return {"reconstructions": strip(seen[:, newest], visible(self.decoder(z)[:, newest]))}


@dataclass(frozen=True)
class Contrast:
    """A latent is to be told from those of other rows by another view of its row (CURL, arXiv 2004.04136)."""

    compares = True

    def build(self, convolutions: Convolutions, features: int, channels: int, size: Size) -> Auxiliary:
        """The module for latents of that many features."""
        return ContrastiveLoss(features)


class ContrastiveLoss(Auxiliary):
    """InfoNCE with the bilinear similarity z W z', z' what the target copy makes of another view.

    The anchors are the latents that the critic reads, as in the published code: one crop serves both.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(features, features))

    def forward(self, z: Tensor, seen: Tensor, other: Callable[[], Tensor]) -> dict[str, Tensor]:
        positive = other()  # [B/V,D]
        return {"contrastive_loss": info_nce(z[: len(positive)], positive, self.weight)}

    def self_trained(self, body: nn.Module) -> list[nn.Module]:
        return [body, self]

    def pictures(self, z: Tensor, seen: Tensor) -> dict[str, Tensor]:
        return {}


AnyAuxiliary = Nothing | Reconstruction | Contrast
"""Every kind of auxiliary; `Nothing` is the neutral one."""
