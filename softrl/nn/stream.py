"""The residual stream with a last norm that SimBa and NormFormer give blocks of their own.

Shapes: see `softrl.types`.
"""

from collections.abc import Callable

from torch import Tensor, nn

from softrl.nn.layers import Linear
from softrl.nn.norms import LayerNorm
from softrl.nn.trunks import Trunk, Units, units_inside


class Stream(Trunk):
    """h = W x, then h <- block(h), then LN(h); blocks `expand`, `activate` and `contract` and add what comes of it."""

    def __init__(self, inputs: int, width: int, members: int, blocks: int, block: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.width, self.members = width, members
        self.embed = Linear(inputs, width, members)
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.norm = LayerNorm(width, members)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        return units_inside(self.blocks)
