"""The multi-layer perceptron of the SAC papers."""

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.init import Init
from softrl.nn.layers import Linear
from softrl.nn.trunks import Trunk


@dataclass(frozen=True)
class MLP:
    """Linear layers with ReLU between them (Haarnoja et al. 2018, arXiv 1801.01290, table 1)."""

    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    init: Init = "orthogonal"
    """How weights are drawn: orthogonal, xavier (uniform) or lecun (uniform, as torch.nn.Linear)."""

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise UserError(f"hidden layers need at least one unit each, got {self.hidden}: give widths like 256,256")

    def build(self, inputs: int, members: int = 1) -> "MLPTrunk":
        """The module for vectors of width `inputs`."""
        return MLPTrunk(self, inputs, members)


class MLPTrunk(Trunk):
    """x -> ReLU(W_n .. ReLU(W_1 x)), for every member."""

    def __init__(self, config: MLP, inputs: int, members: int) -> None:
        super().__init__()
        widths = (inputs, *config.hidden)
        self.width = widths[-1]
        self.layers = nn.ModuleList(Linear(i, o, members, config.init) for i, o in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        for layer in self.layers:
            x = F.relu_(layer(x))
        return x
