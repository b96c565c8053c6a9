"""Layers with a leading axis of ensemble members: one batched product serves the whole ensemble.

Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.nn.init import Init, initialise

ActivationName = Literal["relu", "relu2", "silu", "gelu", "elu", "tanh", "mish", "leaky_relu", "crelu"]


class Rounded(nn.Module):
    """A layer with float32 weights whose products are taken in `dtype`."""

    def __init__(self) -> None:
        super().__init__()
        self.dtype = torch.float32


def cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """The same numbers in `dtype`."""
    return x if x.dtype == dtype else x.to(dtype)  # which would find in ten times the time that nothing is to be done


class Linear(Rounded):
    """Affine maps of all members at once, y_e = x_e W_e + b_e: [B,i] or [E,B,i] -> [E,B,o].

    Weights and the arithmetic around the products stay float32; with `set_precision` the products are bfloat16.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        inputs: int,
        outputs: int,
        members: int = 1,
        init: Init = "orthogonal",
        bias: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.register_parameter("bias", nn.Parameter(torch.zeros(members, 1, outputs)) if bias else None)
        initialise(self.weight, init, gain)

    def forward(self, x: Tensor) -> Tensor:  # [B,i] or [E,B,i] -> [E,B,o]
        # Its own axis of members first, through which a gradient comes back without being copied.
        x, weight, bias = x.unsqueeze(0) if x.dim() == 2 else x, cast(self.weight, self.dtype), self.bias
        # Not baddbmm: it copies the bias into its output first, where a compiler joins this sum to what follows.
        x = cast(x, self.dtype)
        if len(x) < len(weight):  # where one is expanded to one, a compiler sets its stride to 0, which oneDNN copies
            x = x.expand(len(weight), -1, -1)
        product = cast(torch.bmm(x, weight), torch.float32)
        return product if bias is None else product.add_(bias)


def set_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Let every product below `module` be taken in `dtype`; weights stay float32."""
    for part in module.modules():
        if isinstance(part, Rounded):
            part.dtype = dtype


@contextmanager
def switched(parts: Sequence[nn.Module], name: str, value: bool) -> Iterator[None]:
    """Inside, an attribute of these modules has the value; afterwards the one that it had."""
    before = [getattr(part, name) for part in parts]
    for part in parts:
        setattr(part, name, value)
    try:
        yield
    finally:
        for part, was in zip(parts, before, strict=True):
            setattr(part, name, was)


class Projected(ABC):
    """A layer whose parameters live on a constraint that an optimiser's step leaves."""

    @abstractmethod
    def project_(self) -> None:
        """Put the parameters back on their constraint, in place."""


@torch.no_grad()
def project(module: nn.Module) -> None:
    """Put every constrained layer below `module` back on its constraint, in place: to be called after each step."""
    for part in module.modules():
        if isinstance(part, Projected):
            part.project_()


def inverse_norm(squares: Tensor) -> Tensor:
    """1 / sqrt(squares), elementwise, and finite where all weights are zero."""
    return squares.clamp_min(1e-16).rsqrt()


def without_decay(*parameters: nn.Parameter) -> None:
    """Mark parameters that neither weight decay nor l2 may touch."""
    for parameter in parameters:
        parameter.decays = False  # type: ignore[attr-defined]


class UnitLinear(Linear, Projected):
    """A Linear whose kernel has columns of norm one: |W_e[:,j]| = 1 at the start and after `project`.

    With `joint` the column and its bias have norm one together, |(W_e[:,j], b_e[j])| = 1 (CrossQ with weight
    normalisation, arXiv 2502.07523); without it the bias is free (SimBaV2, arXiv 2502.15280).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        members: int = 1,
        init: Init = "orthogonal",
        bias: bool = True,
        joint: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, members, init, bias)
        self.constrained = ("weight", "bias") if bias and joint else ("weight",)
        without_decay(*map(self.get_parameter, self.constrained))
        self.project_()

    @torch.no_grad()
    def project_(self) -> None:
        parts: list[Tensor] = [self.get_parameter(name) for name in self.constrained]
        squares = torch.cat(parts, -2).square().sum(-2, keepdim=True)  # [E,1,o]
        for part in parts:
            part.mul_(inverse_norm(squares))


class DiracLinear(nn.Module):
    """diag(a) I + diag(b) W / |W|, a layer that is its own skip: [B,i] or [E,B,i] -> [E,B,o].

    Columns of W are normalised; a starts at 1, b at 0.1 and neither decays. Where i and o differ, I is one on the
    diagonal that they share (Zagoruyko and Komodakis 2017, arXiv 1706.00388, eq. 3).
    """

    def __init__(self, inputs: int, outputs: int, members: int = 1, init: Init = "orthogonal") -> None:
        super().__init__()
        self.extra = outputs - inputs
        self.linear = Linear(inputs, outputs, members, init, bias=False)
        self.identity = nn.Parameter(torch.ones(members, 1, outputs))
        self.direction = nn.Parameter(torch.full((members, 1, outputs), 0.1))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        without_decay(self.identity, self.direction)

    def forward(self, x: Tensor) -> Tensor:  # [B,i] or [E,B,i] -> [E,B,o]
        scale = self.direction / self.linear.weight.norm(dim=-2, keepdim=True).clamp_min(1e-8)  # [E,1,o]
        moved = torch.addcmul(self.bias, self.linear(x), scale)
        return torch.addcmul(moved, F.pad(x, (0, self.extra)), self.identity)


class Scaler(nn.Module):
    """x -> (initial / size) * w x with w starting at `size`, which sets how fast w learns: [B,W] or [E,B,W] -> [E,B,W].

    A scale for each feature (Loshchilov et al. 2024, arXiv 2410.01131, section 2.5).
    """

    def __init__(self, width: int, members: int = 1, initial: float = 1.0, size: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((members, 1, width), size))
        self.factor = initial / size

    def forward(self, x: Tensor) -> Tensor:  # [B,W] or [E,B,W] -> [E,B,W]
        return x * (self.weight * self.factor)


def relu2(x: Tensor) -> Tensor:
    """max(0, x)^2 (So et al. 2021, arXiv 2109.08668)."""
    return F.relu(x).square()


def crelu(x: Tensor) -> Tensor:
    """[max(0, x), max(0, -x)], twice as wide (arXiv 1603.05201; in reinforcement learning arXiv 2303.07507)."""
    return torch.cat([F.relu(x), F.relu(-x)], -1)


ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "relu": F.relu_,
    "relu2": relu2,
    "silu": F.silu,
    "gelu": F.gelu,
    "elu": F.elu,
    "tanh": torch.tanh,
    "mish": F.mish,
    "leaky_relu": F.leaky_relu,
    "crelu": crelu,
}


class Activation(nn.Module):
    """A nonlinearity by name, [..,W] -> [..,scale * W]; `relu` overwrites its input, so give it a fresh tensor."""

    def __init__(self, name: ActivationName) -> None:
        super().__init__()
        self.function = ACTIVATIONS[name]
        self.scale = 2 if name == "crelu" else 1

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)
