"""The bottleneck of networks that read images: a few bounded features before the trunk. Shapes: see `softrl.types`."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.nn.layers import Linear
from softrl.nn.norms import LayerNorm
from softrl.nn.trunks import Trunk, TrunkConfig, Units, check_sizes

SQUASH: dict[bool, type[nn.Module]] = {True: nn.Tanh, False: nn.Identity}


class Neck(nn.Module):
    """tanh(LN(W x + b)), or the same without the tanh: [B,D] or [E,B,D] -> [E,B,features]."""

    def __init__(self, inputs: int, features: int, members: int = 1, squashed: bool = True) -> None:
        super().__init__()
        self.linear = Linear(inputs, features, members)
        self.norm = LayerNorm(features, members)
        self.squash = SQUASH[squashed]()

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,features]
        return self.squash(self.norm(self.linear(x)))


@dataclass(frozen=True)
class Bottleneck:
    """Linear, LayerNorm and tanh before another trunk (SAC+AE, arXiv 1910.01741, appendix B)."""

    features: int
    """Features that the trunk reads."""
    trunk: TrunkConfig
    """The trunk behind them."""
    squashed: bool = True
    """Whether tanh bounds the features."""

    def __post_init__(self) -> None:
        check_sizes("Bottleneck", features=self.features)

    @property
    def needs(self) -> frozenset[str]:
        """What the trunk needs."""
        return self.trunk.needs

    def build(self, inputs: int, members: int = 1) -> "BottleneckTrunk":
        """The module for vectors of width `inputs`."""
        return BottleneckTrunk(self, inputs, members)


class BottleneckTrunk(Trunk):
    """trunk(tanh(LN(W x + b))), for every member."""

    def __init__(self, config: Bottleneck, inputs: int, members: int) -> None:
        super().__init__()
        self.neck = Neck(inputs, config.features, members, config.squashed)
        self.trunk = config.trunk.build(config.features, members)
        self.width = self.trunk.width

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        return self.trunk(self.neck(x))

    def out(self, outputs: int) -> nn.Module:
        return self.trunk.out(outputs)

    def hidden(self) -> list[Units]:
        return self.trunk.hidden()
