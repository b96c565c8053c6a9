"""Layers with a leading axis of ensemble members: one batched product serves the whole ensemble."""

import torch
from torch import Tensor, nn

from softrl.nn.init import INITIALISERS, Init


class Linear(nn.Module):
    """Affine maps of all members at once, y_e = x_e W_e + b_e: [B,i] or [E,B,i] -> [E,B,o].

    Weights and the arithmetic around the products stay float32; with `set_precision` the products are bfloat16.
    """

    def __init__(self, inputs: int, outputs: int, members: int = 1, init: Init = "orthogonal") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))
        self.dtype = torch.float32
        INITIALISERS[init](self.weight)

    def forward(self, x: Tensor) -> Tensor:  # [B,i] or [E,B,i] -> [E,B,o]
        x, weight = x.to(self.dtype), self.weight.to(self.dtype)
        # Not baddbmm: it copies the bias into its output first, where a compiler joins this sum to what follows.
        return torch.bmm(x.expand(weight.shape[0], -1, -1), weight).float().add_(self.bias)


def set_precision(module: nn.Module, dtype: torch.dtype) -> None:
    """Let every Linear below `module` multiply in `dtype`; weights stay float32."""
    for part in module.modules():
        if type(part) is Linear:
            part.dtype = dtype
