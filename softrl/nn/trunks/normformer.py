"""NormFormer's feed-forward blocks as a trunk: a norm before and one inside. Shapes: see `softrl.types`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.layers import Activation, ActivationName, Linear, Scaler
from softrl.nn.norms import LayerNorm
from softrl.nn.stream import Stream
from softrl.nn.trunks import check_sizes

SKIPS: dict[bool, Callable[[int, int], nn.Module]] = {False: lambda width, members: nn.Identity(), True: Scaler}


@dataclass(frozen=True)
class NormFormer:
    """Linear, blocks x + W2 LN(f(W1 LN(x))), and a last LayerNorm (Shleifer et al. 2021, arXiv 2110.09456, fig. 2).

    The norm after the activation tames a squared ReLU: activation `relu2` and a small branch_gain (arXiv 2109.08668).
    """

    width: int = 256
    """Width of the residual stream."""
    blocks: int = 2
    """Residual blocks."""
    expansion: int = 4
    """Units inside a block for each one of the stream."""
    activation: ActivationName = "gelu"
    """Nonlinearity in each block."""
    branch_gain: float = 1.0
    """Size of the last weights of each block at the start."""
    scaled_skip: bool = False
    """Whether the stream is multiplied with a learned vector beside each block, as the paper does for small models."""
    needs = frozenset[str]()

    def __post_init__(self) -> None:
        check_sizes("NormFormer", width=self.width, blocks=self.blocks, expansion=self.expansion)
        if self.branch_gain < 0:
            raise UserError(f"branch_gain is {self.branch_gain}: a gain cannot be negative")

    def build(self, inputs: int, members: int = 1) -> Stream:
        """The module for vectors of width `inputs`."""
        return Stream(inputs, self.width, members, self.blocks, partial(Block, self, members))


class Block(nn.Module):
    """skip * x + W2 LN(f(W1 LN(x))), [E,B,W] -> [E,B,W]."""

    def __init__(self, config: NormFormer, members: int) -> None:
        super().__init__()
        inner = config.width * config.expansion
        self.activation = Activation(config.activation)
        self.norm = LayerNorm(config.width, members)
        self.expand = Linear(config.width, inner, members)
        self.norm_inner = LayerNorm(inner * self.activation.scale, members)
        self.contract = Linear(inner * self.activation.scale, config.width, members, gain=config.branch_gain)
        self.skip = SKIPS[config.scaled_skip](config.width, members)

    def forward(self, x: Tensor) -> Tensor:  # [E,B,W] -> [E,B,W]
        inner = self.norm_inner(self.activation(self.expand(self.norm(x))))
        return self.skip(x) + self.contract(inner)
