"""DiracNet: depth without skip connections. Shapes: see `softrl.types`."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.nn.layers import Activation, ActivationName, DiracLinear, Linear
from softrl.nn.trunks import Trunk, Units, check_sizes


@dataclass(frozen=True)
class Dirac:
    """Linear, then layers with kernels diag(a) I + diag(b) W / |W| (Zagoruyko and Komodakis 2017, arXiv 1706.00388).

    Nothing but images was published; a layer costs half the products of a residual block of its width.
    """

    width: int = 256
    """Units of each layer."""
    depth: int = 4
    """Dirac layers after the first, plain one."""
    activation: ActivationName = "relu"
    """Nonlinearity after each layer; crelu doubles its width."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("Dirac", width=self.width, depth=self.depth)

    def build(self, inputs: int, members: int = 1) -> "DiracTrunk":
        """The module for vectors of width `inputs`."""
        return DiracTrunk(self, inputs, members)


class DiracTrunk(Trunk):
    """h = f(W x), then h <- f((diag(a) I + diag(b) W / |W|) h + bias)."""

    def __init__(self, config: Dirac, inputs: int, members: int) -> None:
        super().__init__()
        self.members = members
        self.after = nn.ModuleList(Activation(config.activation) for _ in range(1 + config.depth))
        self.width = config.width * Activation(config.activation).scale
        self.embed = Linear(inputs, config.width, members)
        self.layers = nn.ModuleList(DiracLinear(self.width, config.width, members) for _ in range(config.depth))

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        for layer, activation in zip([self.embed, *self.layers], self.after, strict=True):
            x = activation(layer(x))
        return x

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        # A unit is read through the identity as well as through weights.
        return []
