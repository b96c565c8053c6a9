"""SimBa: pre-normalised residual blocks. Shapes: see `softrl.types`."""

from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from softrl.nn.layers import Activation, Linear
from softrl.nn.norms import LayerNorm
from softrl.nn.stream import Stream
from softrl.nn.trunks import check_sizes


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

    def build(self, inputs: int, members: int = 1) -> Stream:
        """The module for vectors of width `inputs`."""
        return Stream(inputs, self.width, members, self.blocks, partial(Block, self, members))


class Block(nn.Module):
    """x + W2 ReLU(W1 LN(x)), [E,B,W] -> [E,B,W]."""

    def __init__(self, config: SimBa, members: int) -> None:
        super().__init__()
        inner = config.width * config.expansion
        self.norm = LayerNorm(config.width, members)
        self.expand = Linear(config.width, inner, members, "he")
        self.activation = Activation("relu")
        self.contract = Linear(inner, config.width, members, "he")

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        return x + self.contract(self.activation(self.expand(self.norm(x))))
