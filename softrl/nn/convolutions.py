"""Convolutions: kernels in both directions, the stack that reads images, and its mirror that draws them.

Images are [B,C,H,W] with channels last in memory, where a convolution needs no rearranging and flattening is free:
flat features count channels fastest. Shapes: see `softrl.types`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.init import KERNEL_INITIALISERS, KernelInit
from softrl.nn.layers import Linear, Rounded

KERNEL = 3
"""Height and width of every kernel."""
Size = tuple[int, int]  # height and width of an image


def flat(images: Tensor) -> Tensor:  # [B,C,H,W] -> [B,H*W*C]
    """Images as rows, without copying those that have channels last."""
    return images.movedim(1, -1).flatten(1)


def images(rows: Tensor, size: Size) -> Tensor:  # [B,H*W*C] -> [B,C,H,W]
    """Rows as images with channels last: the inverse of `flat`."""
    return rows.unflatten(1, (*size, -1)).movedim(-1, 1)


class Kernels(Rounded, ABC):
    """Kernels [a,b,k,k], drawn with the gain of a ReLU, and a bias of zeros.

    They stay float32; with `softrl.nn.layers.set_precision` the convolutions, and what goes from one to the next, are
    bfloat16.
    """

    def __init__(self, channels: tuple[int, int], outputs: int, stride: int, init: KernelInit) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*channels, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.stride = stride
        KERNEL_INITIALISERS[init](self.weight, math.sqrt(2))

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """[B,i,H,W] -> [B,o,h,w] in the dtype of the products."""

    def cast(self, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Kernels, times `scale`, and bias in the dtype of the products."""
        # The flat view brings gradients back in the layout of the weights. Those of channels last have another, and a
        # fused optimiser on the CPU goes by places in memory.
        weight = (scale * self.weight).flatten().view(self.weight.shape)
        return weight.to(self.dtype), self.bias.to(self.dtype)


class Convolution(Kernels):
    """y = W * (scale x) + b without padding: [B,i,H,W] -> [B,o,(H-k)//stride+1,(W-k)//stride+1].

    `scale` is applied to the kernels, which are smaller than images.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        scale: float = 1.0,
        init: KernelInit = "delta_orthogonal",
    ) -> None:
        super().__init__((outputs, inputs), outputs, stride, init)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.cast(self.scale)
        return F.conv2d(x.to(self.dtype), weight, bias, self.stride)


class ConvolutionTransposed(Kernels):
    """The transposed convolution: [B,i,h,w] -> [B,o,H,W] for exactly the given sizes."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        before: Size,
        after: Size,
        init: KernelInit = "delta_orthogonal",
    ) -> None:
        super().__init__((inputs, outputs), outputs, stride, init)
        # output_padding: a strided convolution drops up to stride - 1 edge pixels, which the mirror must give back.
        self.extra = [large - (small - 1) * stride - KERNEL for small, large in zip(before, after, strict=True)]

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.cast()
        # The bias is added outside the kernel: inside, its gradient costs half a convolution on a CPU.
        y = F.conv_transpose2d(x.to(self.dtype), weight, None, self.stride, output_padding=self.extra)
        return y.add_(bias[:, None, None])


@dataclass(frozen=True)
class Convolutions:
    """Convolutions 3x3 with a ReLU after each (SAC+AE, arXiv 1910.01741, appendix B)."""

    channels: int = 32
    """Channels of each convolution."""
    strides: tuple[int, ...] = (2, 1, 1, 1)
    """Stride of each convolution."""
    kernel_init: KernelInit = "delta_orthogonal"
    """How kernels start: an orthogonal matrix at the centre of zeros, or the whole kernel as one (DrQ's code)."""

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise UserError(f"channels is {self.channels}: a convolution needs at least 1")
        if not self.strides or min(self.strides) < 1:
            raise UserError(f"strides are {self.strides}: give one of at least 1 for each convolution, like 2,1,1,1")

    @property
    def smallest(self) -> int:
        """The height and width of the smallest image that leaves one pixel at the end."""
        size = 1
        for stride in reversed(self.strides):
            size = (size - 1) * stride + KERNEL
        return size

    def sizes(self, size: Size) -> list[Size]:
        """Sizes before, between and after the convolutions; raises UserError for images that are too small."""
        if min(size) < self.smallest:
            raise UserError(
                f"images are {size[0]}x{size[1]} where convolutions with strides {self.strides} need at least "
                f"{self.smallest}x{self.smallest}: ask for larger images or fewer convolutions"
            )
        sizes = [size]
        for stride in self.strides:
            height, width = sizes[-1]
            sizes.append(((height - KERNEL) // stride + 1, (width - KERNEL) // stride + 1))
        return sizes

    def build(self, channels: int, size: Size) -> "ConvolutionStack":
        """The module for images of that many channels; raises UserError where `sizes` does."""
        return ConvolutionStack(self, channels, size)

    def mirror(self, features: int, channels: int, size: Size) -> "MirroredStack":
        """The module that draws images of that many channels; raises UserError where `sizes` does."""
        return MirroredStack(self, features, channels, size)


class ConvolutionStack(nn.Module):
    """h_0 = pixels / 255, h_n = ReLU(W_n * h_{n-1} + b_n), flat: 0 to 255 [B,C,H,W] -> float32 [B,width]."""

    def __init__(self, config: Convolutions, channels: int, size: Size) -> None:
        super().__init__()
        height, width = config.sizes(size)[-1]
        self.width = height * width * config.channels
        stride, *others = config.strides
        count, init = config.channels, config.kernel_init
        self.first = Convolution(channels, count, stride, 1 / 255, init)
        self.others = nn.ModuleList(Convolution(count, count, stride, init=init) for stride in others)

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.relu_(self.first(pixels.contiguous(memory_format=torch.channels_last)))
        for layer in self.others:
            x = F.relu_(layer(x))
        return flat(x).float()


class MirroredStack(nn.Module):
    """ReLU(W z + b), then transposed convolutions with a ReLU between them: [B,D] -> [B,C,H,W] (arXiv 1910.01741).

    Strides come in the reverse order, and every size is the one that the stack had on its way down.
    """

    def __init__(self, config: Convolutions, features: int, channels: int, size: Size) -> None:
        super().__init__()
        sizes = config.sizes(size)[::-1]
        self.size = height, width = sizes[0]
        self.linear = Linear(features, height * width * config.channels)
        outputs = [*[config.channels] * (len(config.strides) - 1), channels]
        self.layers = nn.ModuleList(
            ConvolutionTransposed(config.channels, output, stride, before, after, config.kernel_init)
            for output, stride, (before, after) in zip(outputs, config.strides[::-1], pairwise(sizes), strict=True)
        )

    def forward(self, z: Tensor) -> Tensor:
        x = images(F.relu_(self.linear(z)).squeeze(0), self.size)
        *others, last = self.layers
        for layer in others:
            x = F.relu_(layer(x))
        return last(x).float()
