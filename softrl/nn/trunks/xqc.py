"""XQC: a perceptron of batch-normalised layers with unit-norm kernels. Shapes: see `softrl.types`."""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from softrl.nn.layers import Activation, UnitLinear
from softrl.nn.norms import BATCH_STATISTICS, BatchNorm
from softrl.nn.trunks import Trunk, Units, check_hidden


@dataclass(frozen=True)
class XQC:
    """BatchNorm, then layers ReLU(BatchNorm(W x)) whose kernels have unit columns (arXiv 2509.25174, section 4)."""

    hidden: tuple[int, ...] = (512, 512, 512, 512)
    """Units of each hidden layer."""
    needs = frozenset({BATCH_STATISTICS})

    def __post_init__(self) -> None:
        check_hidden(self.hidden)

    def build(self, inputs: int, members: int = 1) -> "XQCTrunk":
        """The module for vectors of width `inputs`."""
        return XQCTrunk(self, inputs, members)


class XQCTrunk(Trunk):
    """h_0 = BN(x), h_n = ReLU(BN(W_n h_{n-1})), for every member."""

    def __init__(self, config: XQC, inputs: int, members: int) -> None:
        super().__init__()
        self.width, self.members = config.hidden[-1], members
        widths = (inputs, *config.hidden)
        self.norm_inputs = BatchNorm(inputs, members)
        self.layers = nn.ModuleList(UnitLinear(i, o, members, bias=False) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(width, members) for width in config.hidden)
        self.activations = nn.ModuleList(Activation("relu") for _ in config.hidden)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.norm_inputs(x)
        for layer, norm, activation in zip(self.layers, self.norms, self.activations, strict=True):
            x = activation(norm(layer(x)))
        return x

    def out(self, outputs: int) -> nn.Module:
        return UnitLinear(self.width, outputs, self.members)

    def hidden(self) -> list[Units]:
        return list(zip(self.layers, self.activations, [*self.layers[1:], None], strict=True))
