"""The image encoder and decoder of Dreamer. Shapes: see `softrl.types`; pictures are [..,C,H,W]."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.images import visible
from softrl.nn.convolutions import flat, images
from softrl.nn.layers import Linear, Rounded
from softrl.nn.sights import ObservationModel
from softrl.types import Obs, Spec

KERNEL = 4
"""Height and width of the encoder's kernels."""
FEW = 16
"""Channels that fill the vectors of a processor."""
Apply = Callable[[Tensor, Tensor, Tensor], Tensor]  # pictures, weights, bias -> pictures


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

    def build(self, features: int, spec: Spec) -> "PictureObservationModel":
        """The module that predicts from that many features; raises UserError as `check` does."""
        self.check(spec)
        channels, size, _ = spec.obs["pixels"]
        return PictureObservationModel(self, features, channels, size)


def conv_sizes(size: int) -> list[int]:
    """Sizes before, between and after convolutions of stride 2, as many as fit: 64, 31, 14, 6, 2."""
    sizes = [size]
    while sizes[-1] >= KERNEL:
        sizes.append((sizes[-1] - KERNEL) // 2 + 1)
    return sizes


def deconv_kernels(size: int) -> list[int]:
    """Kernels of transposed convolutions of stride 2 that lead from one pixel to `size`: 5, 5, 6, 6 for 64."""
    found: list[int] = []
    while size > 1:
        kernel = min(size, 6 - size % 2)  # what an even size is left over by is even
        found.append(kernel)
        size = (size - kernel) // 2 + 1
    return found[::-1]


def conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution of stride 2, [B,i,H,W] and [o,i,k,k] -> [B,o,(H-k)//2+1,(W-k)//2+1]."""
    return F.conv2d(x, weight, bias, 2)


def deconv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Its transposed counterpart, [B,i,h,w] and [i,o,k,k] -> [B,o,2h-2+k,2w-2+k]."""
    # The bias is added outside the kernel: inside, its gradient costs half a convolution on a CPU.
    return F.conv_transpose2d(x, weight, None, 2).add_(bias[:, None, None])


def deconv_from_pixel(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same of a single pixel, [B,i,1,1] -> [B,o,k,k], where it is one product: y[p] = x W[p] + b."""
    places = weight.shape[2] * weight.shape[3]
    rows = x.flatten(1) @ weight.permute(0, 2, 3, 1).flatten(1)  # [B,k*k*o]
    return images(rows.add_(bias.repeat(places)), (weight.shape[2], weight.shape[3]))


def subpixel_deconv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same with an even kernel, by a convolution of stride 1 for each of four places (arXiv 1609.05158).

    y[2p + r] = sum_q x[p - q] W[2q + r] + b,    r in {0, 1}^2
    """
    half = weight.shape[2] // 2
    parts = weight.unflatten(3, (half, 2)).unflatten(2, (half, 2)).flip(2, 4)  # [i,o,k/2,2,k/2,2]
    kernels = parts.permute(3, 5, 1, 0, 2, 4).flatten(0, 2)  # [4*o,i,k/2,k/2]
    places = F.conv2d(x, kernels, bias.repeat(4), padding=half - 1).movedim(1, -1)  # [B,h,w,4*o]
    return places.unflatten(-1, (2, 2, -1)).transpose(2, 3).flatten(1, 2).flatten(2, 3).movedim(-1, 1)


def fastest_deconv(size: int, outputs: int, kernel: int) -> Apply:
    """The fastest form of a transposed convolution: from one pixel torch's own takes 13 times as long on a CPU.

    Where it draws few channels, which leave vectors of numbers half empty, it takes 1.5 times as long.
    """
    if size == 1:
        return deconv_from_pixel
    return subpixel_deconv if outputs < FEW and kernel % 2 == 0 else deconv


class Strided(Rounded):
    """A convolution of stride 2, or a transposed one, with weights as torch draws them.

    They stay float32; with `softrl.nn.layers.set_precision` the products are bfloat16.
    """

    def __init__(self, apply: Apply, initial: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        assert initial.bias is not None
        self.apply_to, self.weight, self.bias = apply, initial.weight, initial.bias

    def forward(self, x: Tensor) -> Tensor:  # [B,i,H,W] -> [B,o,h,w]
        # The flat view brings gradients back in the layout of the weights, which a fused optimiser goes by.
        weight = self.weight.flatten().view(self.weight.shape)
        return self.apply_to(x.to(self.dtype), weight.to(self.dtype), self.bias.to(self.dtype))


class PictureObservationModel(ObservationModel):
    """x = pixels / 255 - 1/2; convolutions with a ReLU each; back by W f + b and transposed ones with ReLU between."""

    def __init__(self, config: Pictures, features: int, channels: int, size: int) -> None:
        super().__init__()
        sizes = conv_sizes(size)
        widths = [channels, *(config.depth * 2**i for i in range(len(sizes) - 1))]
        self.width = widths[-1] * sizes[-1] ** 2
        self.encoder = nn.ModuleList(Strided(conv, nn.Conv2d(i, o, KERNEL, 2)) for i, o in pairwise(widths))
        kernels = deconv_kernels(size)
        grown = list(accumulate(kernels, lambda before, kernel: 2 * before - 2 + kernel, initial=1))
        first = config.depth * 2 ** (len(kernels) + 1)
        back = [first, *(config.depth * 2**i for i in reversed(range(len(kernels) - 1))), channels]
        self.linear = Linear(features, first, init="lecun")
        self.decoder = nn.ModuleList(
            Strided(fastest_deconv(before, o, kernel), nn.ConvTranspose2d(i, o, kernel, 2))
            for (i, o), kernel, before in zip(pairwise(back), kernels, grown[:-1], strict=True)
        )

    def target(self, obs: Obs) -> Tensor:
        # Channels last, where convolutions and what is drawn have them: nothing is rearranged afterwards.
        pixels = obs["pixels"].movedim(-3, -1).to(torch.float32, memory_format=torch.contiguous_format)
        return pixels.div_(255).sub_(0.5).movedim(-1, -3)

    def embed(self, target: Tensor) -> Tensor:
        x = target.flatten(0, -4).contiguous(memory_format=torch.channels_last)
        for layer in self.encoder:
            x = F.relu_(layer(x))
        return flat(x).float().unflatten(0, target.shape[:-3])

    def predict(self, features: Tensor) -> Tensor:
        x = self.linear(features.flatten(0, -2))[0][..., None, None]
        *others, last = self.decoder
        for layer in others:
            x = F.relu(layer(x))  # not in place: a layer may return a view, of which autograd would then take copies
        return last(x).float().unflatten(0, features.shape[:-1])

    def visible(self, target: Tensor) -> Tensor:
        return visible(target[..., -3:, :, :])
