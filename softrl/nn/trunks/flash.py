"""FlashSAC's network: inverted bottlenecks with BatchNorm, every parameter on a sphere. Shapes: see `softrl.types`."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.nn.layers import Activation, UnitLinear
from softrl.nn.norms import BATCH_STATISTICS, UnitBatchNorm, UnitRMSNorm
from softrl.nn.trunks import Trunk, Units, check_sizes, units_inside


@dataclass(frozen=True)
class FlashSAC:
    """BatchNorm and Linear, blocks x + ReLU(BN(W2 ReLU(BN(W1 x)))), a last RMSNorm (arXiv 2604.04539, section 4)."""

    width: int = 256
    """Width of the residual stream."""
    blocks: int = 2
    """Residual blocks."""
    expansion: int = 4
    """Units inside a block for each one of the stream."""
    needs = frozenset({BATCH_STATISTICS})

    def __post_init__(self) -> None:
        check_sizes("FlashSAC", width=self.width, blocks=self.blocks, expansion=self.expansion)

    def build(self, inputs: int, members: int = 1) -> "FlashSACTrunk":
        """The module for vectors of width `inputs`."""
        return FlashSACTrunk(self, inputs, members)


class FlashSACTrunk(Trunk):
    """h = W BN(x), then h <- h + block(h), then RMSNorm(h)."""

    def __init__(self, config: FlashSAC, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members = config.width, members
        self.norm_inputs = UnitBatchNorm(inputs, members)
        self.embed = UnitLinear(inputs, config.width, members, bias=False)
        self.blocks = nn.ModuleList(Block(config, members) for _ in range(config.blocks))
        self.norm = UnitRMSNorm(config.width, members)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.embed(self.norm_inputs(x))
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)

    def out(self, outputs: int) -> nn.Module:
        return UnitLinear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        return units_inside(self.blocks)


class Block(nn.Module):
    """ReLU(BN(W2 ReLU(BN(W1 x)))), [E,B,W] -> [E,B,W]."""

    def __init__(self, config: FlashSAC, members: int) -> None:
        super().__init__()
        inner = config.width * config.expansion
        self.expand = UnitLinear(config.width, inner, members, bias=False)
        self.norm = UnitBatchNorm(inner, members)
        self.activation = Activation("relu")
        self.contract = UnitLinear(inner, config.width, members, bias=False)
        self.norm_out = UnitBatchNorm(config.width, members)
        self.activation_out = Activation("relu")

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        inner = self.activation(self.norm(self.expand(x)))
        return self.activation_out(self.norm_out(self.contract(inner)))
