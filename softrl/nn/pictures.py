"""The image encoder and decoder of Dreamer. Shapes: see `softrl.types`; pictures are [..,C,H,W]."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.images import visible
from softrl.nn.convolutions import flat
from softrl.nn.layers import Linear, Rounded
from softrl.nn.sights import Sight
from softrl.types import Obs, Spec

KERNEL = 4
"""Height and width of the encoder's kernels."""


@dataclass(frozen=True)
class Pictures:
    """Convolutions 4x4 of stride 2 and their transposed counterparts (World Models, arXiv 1803.10122; Dreamer)."""

    depth: int = 32
    """Channels after the first convolution; each further one doubles them."""

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise UserError(f"depth is {self.depth}: a convolution needs at least 1 channel, try 32")

    def check(self, spec: Spec) -> None:
        """Raises UserError where there are no pictures, or ones that are too small or not square."""
        if "pixels" not in spec.obs:
            raise UserError(
                "agent.encoder.sight Pictures draws images, and the observations are states: use Vectors, or observe "
                "the environment through env.pixels"
            )
        _, height, width = spec.obs["pixels"]
        if height != width or height < KERNEL:
            raise UserError(
                f"pictures are {height}x{width}: a world model needs square ones of at least {KERNEL}x{KERNEL}"
            )

    def build(self, features: int, spec: Spec) -> "PictureSight":
        """The module that predicts from that many features; raises UserError as `check` does."""
        self.check(spec)
        channels, size, _ = spec.obs["pixels"]
        return PictureSight(self, features, channels, size)


def shrunk(size: int) -> list[int]:
    """Sizes before, between and after convolutions of stride 2, as many as fit: 64, 31, 14, 6, 2."""
    sizes = [size]
    while sizes[-1] >= KERNEL:
        sizes.append((sizes[-1] - KERNEL) // 2 + 1)
    return sizes


def kernels(size: int) -> list[int]:
    """Kernels of transposed convolutions of stride 2 that lead from one pixel to `size`: 5, 5, 6, 6 for 64."""
    found: list[int] = []
    while size > 1:
        kernel = min(size, 6 - size % 2)  # what an even size is left over by is even
        found.append(kernel)
        size = (size - kernel) // 2 + 1
    return found[::-1]


class Strided(Rounded):
    """A convolution of stride 2, or a transposed one, with weights as torch draws them.

    They stay float32; with `softrl.nn.layers.set_precision` the products are bfloat16.
    """

    def __init__(self, apply: Callable[..., Tensor], drawn: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        assert drawn.bias is not None
        self.apply_to, self.weight, self.bias = apply, drawn.weight, drawn.bias

    def forward(self, x: Tensor) -> Tensor:  # [B,i,H,W] -> [B,o,h,w]
        # The flat view brings gradients back in the layout of the weights, which a fused optimiser goes by.
        weight = self.weight.flatten().view(self.weight.shape)
        return self.apply_to(x.to(self.dtype), weight.to(self.dtype), self.bias.to(self.dtype), 2)


class PictureSight(Sight):
    """x = pixels / 255 - 1/2; convolutions with a ReLU each; back by W f + b and transposed ones with ReLU between."""

    def __init__(self, config: Pictures, features: int, channels: int, size: int) -> None:
        super().__init__()
        sizes = shrunk(size)
        widths = [channels, *(config.depth * 2**i for i in range(len(sizes) - 1))]
        self.width = widths[-1] * sizes[-1] ** 2
        self.encoder = nn.ModuleList(Strided(F.conv2d, nn.Conv2d(i, o, KERNEL, 2)) for i, o in pairwise(widths))
        found = kernels(size)
        first = config.depth * 2 ** (len(found) + 1)
        drawn = [first, *(config.depth * 2**i for i in reversed(range(len(found) - 1))), channels]
        self.linear = Linear(features, first, init="lecun")
        self.decoder = nn.ModuleList(
            Strided(F.conv_transpose2d, nn.ConvTranspose2d(i, o, kernel, 2))
            for (i, o), kernel in zip(pairwise(drawn), found, strict=True)
        )

    def target(self, obs: Obs) -> Tensor:
        return obs["pixels"].float().div_(255).sub_(0.5)

    def embed(self, target: Tensor) -> Tensor:
        x = target.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        for layer in self.encoder:
            x = F.relu_(layer(x))
        return flat(x).float().unflatten(0, target.shape[:-3])

    def predict(self, features: Tensor) -> Tensor:
        x = self.linear(features.flatten(0, -2))[0][..., None, None]
        *others, last = self.decoder
        for layer in others:
            x = F.relu_(layer(x))
        return last(x).float().unflatten(0, features.shape[:-1])

    def visible(self, target: Tensor) -> Tensor:
        return visible(target[..., -3:, :, :])
