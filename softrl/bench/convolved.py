"""Convolutions of an update, forward and backward, as the floor repeats them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from softrl.bench.timing import Call

aten = torch.ops.aten
Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Shape, strides and type of numbers."""


class Convolved(NamedTuple):
    """One convolution, or those that give its gradients, on numbers that lie in memory as the update's do."""

    factors: tuple[Layout, ...]  # forward: images, kernels; backward: gradient of the outputs, images, kernels
    options: tuple[Any, ...]  # stride, padding, dilation, transposed, output padding, groups
    inputs: bool  # backward: the gradient of the images is asked for
    weights: bool  # backward: the gradient of the kernels is asked for

    def narrowed(self, width: int, needed: int) -> "Convolved":
        """Itself: images hold no actions."""
        return self

    @property
    def flops(self) -> int:
        """Multiplications and additions: one forward, one for each gradient."""
        images, kernels = (shape for shape, _, _ in self.factors[-2:])
        transposed = self.options[3]
        places = images if transposed else self.outputs()  # where kernels are laid down
        per_place = kernels[0] * kernels[1] * kernels[2] * kernels[3]
        times = self.inputs + self.weights if len(self.factors) == 3 else 1
        return 2 * times * places[0] * places[-2] * places[-1] * per_place

    def outputs(self) -> tuple[int, ...]:
        """Shape of what a convolution that is not transposed returns."""
        images, kernels = (shape for shape, _, _ in self.factors[-2:])
        stride, padding = self.options[:2]
        sides = zip(images[2:], kernels[2:], stride, padding, strict=True)
        return (images[0], kernels[0], *((size + 2 * pad - kernel) // step + 1 for size, kernel, step, pad in sides))

    def forms(self) -> dict[str, Call]:
        """The call, by name; torch has one."""
        factors = [laid_out(layout) for layout in self.factors]
        if len(factors) == 2:
            return {"convolution": lambda: aten.convolution(*factors, None, *self.options)}
        mask = [self.inputs, self.weights, False]
        return {"convolution": lambda: aten.convolution_backward(*factors, None, *self.options, mask)}


def layout(x: Tensor) -> Layout:
    """How a tensor lies in memory."""
    return tuple(x.shape), tuple(x.stride()), x.dtype


def laid_out(like: Layout) -> Tensor:
    """Random numbers that lie in memory so."""
    shape, strides, dtype = like
    size = 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    return torch.randn(size).to(dtype).as_strided(shape, strides)


def forward(images: Tensor, kernels: Tensor, bias: Tensor | None, *options: Any) -> Convolved:
    """What `aten.convolution` was asked for."""
    return Convolved((layout(images), layout(kernels)), frozen(options), False, False)


def backward(gradient: Tensor, images: Tensor, kernels: Tensor, biased: Any, *options: Any) -> Convolved:
    """What `aten.convolution_backward` was asked for."""
    *shared, mask = options
    return Convolved(tuple(map(layout, (gradient, images, kernels))), frozen(shared), mask[0], mask[1])


def frozen(options: Any) -> tuple[Any, ...]:
    """Options with lists as tuples, so that equal ones can be found equal."""
    return tuple(tuple(option) if type(option) is list else option for option in options)


RECORDED: dict[Any, Callable[..., Convolved]] = {aten.convolution: forward, aten.convolution_backward: backward}
"""How each operation is noted."""
