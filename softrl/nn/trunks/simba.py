"""SimBa: pre-normalised residual blocks."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.nn.layers import Activation, Linear
from softrl.nn.norms import LayerNorm
from softrl.nn.trunks import Trunk, Units, check_sizes, units_inside


@dataclass(frozen=True)
class SimBa:
    """Linear, blocks x + W2 ReLU(W1 LN(x)), and a last LayerNorm (Lee et al. 2024, arXiv 2410.09754, fig. 3).

    The running normalisation of observations that belongs to it is an encoder's.
    """

    width: int = 512
    """Width of the residual stream."""
    blocks: int = 2
    """Residual blocks."""
    expansion: int = 4
    """Units inside a block for each one of the stream."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("SimBa", width=self.width, blocks=self.blocks, expansion=self.expansion)

    def build(self, inputs: int, members: int = 1) -> "SimBaTrunk":
        """The module for vectors of width `inputs`."""
        return SimBaTrunk(self, inputs, members)


class SimBaTrunk(Trunk):
    """h = W x, then h <- h + block(h), then LN(h)."""

    def __init__(self, config: SimBa, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members = config.width, members
        self.embed = Linear(inputs, config.width, members)
        self.blocks = nn.ModuleList(Block(config, members) for _ in range(config.blocks))
        self.norm = LayerNorm(config.width, members)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.embed(x)
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        return units_inside(self.blocks)


class Block(nn.Module):
    """W2 ReLU(W1 LN(x)), [E,B,W] -> [E,B,W]."""

    def __init__(self, config: SimBa, members: int) -> None:
        super().__init__()
        inner = config.width * config.expansion
        self.norm = LayerNorm(config.width, members)
        self.expand = Linear(config.width, inner, members, "he")
        self.activation = Activation("relu")
        self.contract = Linear(inner, config.width, members, "he")

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        return self.contract(self.activation(self.expand(self.norm(x))))
