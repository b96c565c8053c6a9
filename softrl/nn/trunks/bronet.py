"""BroNet: residual blocks with LayerNorm after every product. Shapes: see `softrl.types`."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.nn.dropout import Dropout, check_dropout
from softrl.nn.layers import Activation, ActivationName, Linear
from softrl.nn.norms import LayerNorm, Place, normed
from softrl.nn.trunks import Trunk, Units, check_sizes, units_inside

GAIN = 2**0.5


@dataclass(frozen=True)
class BroNet:
    """Linear, LayerNorm and ReLU, then blocks x + LN(W2 ReLU(LN(W1 x))) (Nauman et al. 2024, arXiv 2405.16158, fig. 3).

    The published network keeps the defaults. A squared ReLU before its norm, in blocks twice as wide that start almost
    silent, is activation `relu2`, norm_place `after`, expansion 2 and branch_scale 1e-5.
    """

    width: int = 512
    """Width of the residual stream; crelu doubles it."""
    blocks: int = 2
    """Residual blocks."""
    activation: ActivationName = "relu"
    """Nonlinearity in the stem and in each block."""
    norm_place: Place = "before"
    """Whether the norm stands before or after the activation."""
    expansion: int = 1
    """Units inside a block for each one of the stream."""
    dropout: float = 0.0
    """Share of the sums inside a block that is dropped."""
    branch_scale: float = 1.0
    """Scale of the last LayerNorm of each block at the start."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("BroNet", width=self.width, blocks=self.blocks, expansion=self.expansion)
        check_dropout(self.dropout)

    def build(self, inputs: int, members: int = 1) -> "BroNetTrunk":
        """The module for vectors of width `inputs`."""
        return BroNetTrunk(self, inputs, members)


class BroNetTrunk(Trunk):
    """h = f(LN(W x)), then h <- h + block(h)."""

    def __init__(self, config: BroNet, inputs: int, members: int) -> None:
        super().__init__()
        self.members = members
        activation = Activation(config.activation)
        self.width = config.width * activation.scale
        self.embed = Linear(inputs, config.width, members, gain=GAIN)
        self.after = normed(activation, config.width, members, "layer", config.norm_place)
        self.blocks = nn.ModuleList(Block(config, self.width, members) for _ in range(config.blocks))

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.after(self.embed(x))
        for block in self.blocks:
            x = x + block(x)
        return x

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members, gain=GAIN)

    def hidden(self) -> list[Units]:
        return units_inside(self.blocks)


class Block(nn.Module):
    """LN(W2 f(LN(dropout(W1 x)))), [E,B,W] -> [E,B,W]."""

    def __init__(self, config: BroNet, width: int, members: int) -> None:
        super().__init__()
        inner = config.width * config.expansion
        self.activation = Activation(config.activation)
        self.expand = Linear(width, inner, members, gain=GAIN)
        self.dropout = Dropout(config.dropout)
        self.after = normed(self.activation, inner, members, "layer", config.norm_place)
        self.contract = Linear(inner * self.activation.scale, width, members, gain=GAIN)
        self.norm = LayerNorm(width, members, scale=config.branch_scale)

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        return self.norm(self.contract(self.after(self.dropout(self.expand(x)))))
