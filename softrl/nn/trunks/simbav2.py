"""SimBaV2: features and weights on hyperspheres. Shapes: see `softrl.types`."""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import Activation, Scaler, UnitLinear
from softrl.nn.trunks import Trunk, Units, check_sizes, units_inside


@dataclass(frozen=True)
class SimBaV2:
    """Residual blocks as steps on the unit sphere, all kernels with unit columns (Lee et al. 2025, arXiv 2502.15280).

    The running normalisation of observations that belongs to it is an encoder's.
    """

    width: int = 512
    """Width of the residual stream."""
    blocks: int = 2
    """Residual blocks."""
    expansion: int = 4
    """Units inside a block for each one of the stream."""
    shift: float = 3.0
    """Constant put beside the inputs before they are scaled to norm one, so that their length is not lost."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("SimBaV2", width=self.width, blocks=self.blocks, expansion=self.expansion)
        if self.shift <= 0:
            raise UserError(f"shift is {self.shift}: it must be positive, for without it the inputs' length is lost")

    def build(self, inputs: int, members: int = 1) -> "SimBaV2Trunk":
        """The module for vectors of width `inputs`."""
        return SimBaV2Trunk(self, inputs, members)


def on_sphere(x: Tensor) -> Tensor:
    """x / |x|, [..,W] -> [..,W]."""
    return F.normalize(x, dim=-1, eps=1e-8)


class SimBaV2Trunk(Trunk):
    """h = l2(s * W l2([x, shift])), then h <- block(h)."""

    def __init__(self, config: SimBaV2, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members, self.shift = config.width, members, config.shift
        size = math.sqrt(2 / config.width)
        self.embed = UnitLinear(inputs + 1, config.width, members, bias=False)
        self.scaler = Scaler(config.width, members, size, size)
        self.blocks = nn.ModuleList(Block(config, members) for _ in range(config.blocks))

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = on_sphere(F.pad(x, (0, 1), value=self.shift))
        x = on_sphere(self.scaler(self.embed(x)))
        for block in self.blocks:
            x = block(x)
        return x

    def out(self, outputs: int) -> nn.Module:
        mix = UnitLinear(self.width, self.width, self.members, bias=False)
        return nn.Sequential(mix, Scaler(self.width, self.members), UnitLinear(self.width, outputs, self.members))

    def hidden(self) -> list[Units]:
        return units_inside(self.blocks)


class Block(nn.Module):
    """l2(h + a * (l2(W2 ReLU(s * W1 h)) - h)): a step towards a new point on the sphere, [E,B,W] -> [E,B,W]."""

    def __init__(self, config: SimBaV2, members: int) -> None:
        super().__init__()
        width, inner = config.width, config.width * config.expansion
        size = math.sqrt(2 / inner)
        self.expand = UnitLinear(width, inner, members, bias=False)
        self.scaler = Scaler(inner, members, size, size)
        self.activation = Activation("relu")
        self.contract = UnitLinear(inner, width, members, bias=False)
        self.rate = Scaler(width, members, 1 / (config.blocks + 1), 1 / math.sqrt(width))

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        towards = on_sphere(self.contract(self.activation(self.scaler(self.expand(x)))))
        return on_sphere(x + self.rate(towards - x))
