"""D2RL: a perceptron whose hidden layers all see the input. Shapes: see `softrl.types`."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softrl.nn.init import Init
from softrl.nn.layers import Activation, ActivationName, Linear
from softrl.nn.trunks import Trunk, Units, check_hidden


@dataclass(frozen=True)
class D2RL:
    """Linear layers that read the layer before and the input again (Sinha et al. 2020, arXiv 2010.09163, fig. 1)."""

    hidden: tuple[int, ...] = (256, 256, 256, 256)
    """Units of each hidden layer."""
    init: Init = "orthogonal"
    """How weights are drawn: orthogonal, xavier (uniform), lecun (uniform, as torch.nn.Linear) or he (normal)."""
    activation: ActivationName = "relu"
    """Nonlinearity after each hidden layer; crelu doubles its width."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_hidden(self.hidden)

    def build(self, inputs: int, members: int = 1) -> "D2RLTrunk":
        """The module for vectors of width `inputs`."""
        return D2RLTrunk(self, inputs, members)


class D2RLTrunk(Trunk):
    """h_1 = f(W_1 x), h_n = f(W_n [h_{n-1}, x]); the last h goes out alone."""

    def __init__(self, config: D2RL, inputs: int, members: int) -> None:
        super().__init__()
        self.config, self.members = config, members
        after = [Activation(config.activation) for _ in config.hidden]
        widths = [activation.scale * width for activation, width in zip(after, config.hidden, strict=True)]
        self.width = widths[-1]
        reads = [inputs, *(width + inputs for width in widths[:-1])]
        self.after = nn.ModuleList(after)
        self.layers = nn.ModuleList(
            Linear(i, o, members, config.init) for i, o in zip(reads, config.hidden, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        (first, *others), (activation, *following) = self.layers, self.after
        h = activation(first(x))
        for layer, activation in zip(others, following, strict=True):
            h = activation(layer(torch.cat([h, x.expand(*h.shape[:-1], -1)], -1)))
        return h

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members, self.config.init)

    def hidden(self) -> list[Units]:
        # What reads the units reads the input with the same weights.
        return []
