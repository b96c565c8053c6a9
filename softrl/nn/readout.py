"""A trunk and its output layer as one function of rows."""

from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.trunks.mlp import MLP

DENSE = MLP((300, 300), init="lecun", activation="elu")
"""The perceptrons of Dreamer (arXiv 1912.01603, appendix A), with weights as torch draws them and biases zero."""


class Readout(nn.Module):
    """y = W trunk(x) + b, for rows with any leading axes: [..,D] -> [..,outputs]."""

    def __init__(self, config: MLP, inputs: int, outputs: int) -> None:
        super().__init__()
        self.trunk = config.build(inputs)
        self.out = self.trunk.out(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.trunk(x.flatten(0, -2)))[0].unflatten(0, x.shape[:-1])


def check_rowwise(*trunks: MLP) -> None:
    """Refuse networks that need batch statistics, which nothing gives them in a world model; raises UserError."""
    if any(trunk.needs for trunk in trunks):
        raise UserError("the world model's networks see no batch statistics: choose norm layer, rms or none")
