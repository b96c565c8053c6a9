"""The multi-layer perceptron of the SAC papers, and of those that normalise it. Shapes: see `softrl.types`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.dropout import Dropout, check_dropout
from softrl.nn.init import Init
from softrl.nn.layers import Activation, ActivationName, Linear, UnitLinear
from softrl.nn.norms import NORMS, NormName, Place, needs_of, normed
from softrl.nn.trunks import Trunk, Units, check_hidden

KERNELS: dict[bool, Callable[..., nn.Module]] = {False: Linear, True: partial(UnitLinear, joint=True)}


@dataclass(frozen=True)
class MLP:
    """Linear layers with ReLU between them (Haarnoja et al. 2018, arXiv 1801.01290, table 1).

    DroQ is dropout 0.01 and norm `layer` (arXiv 2110.02034); CrossQ is norm `batch_renorm` after the activation and on
    the inputs (arXiv 1902.05605), with unit_norm CrossQ with weight normalisation (arXiv 2502.07523).
    """

    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer."""
    init: Init = "orthogonal"
    """How weights are drawn: orthogonal, xavier (uniform), lecun (uniform, as torch.nn.Linear) or he (normal)."""
    activation: ActivationName = "relu"
    """Nonlinearity after each hidden layer; crelu doubles its width."""
    norm: NormName = "none"
    """Normalisation of each hidden layer; the batch kinds need a lookahead that gives them their statistics."""
    norm_place: Place = "before"
    """Whether the norm stands before or after the activation."""
    norm_inputs: bool = False
    """Whether the inputs are normalised too."""
    dropout: float = 0.0
    """Share of each hidden layer's sums that is dropped, before the norm."""
    unit_norm: bool = False
    """Whether the weights of each hidden unit, with its bias, are put back to norm one after every step."""

    def __post_init__(self) -> None:
        check_hidden(self.hidden)
        check_dropout(self.dropout)
        if self.norm_inputs and self.norm == "none":
            raise UserError("norm_inputs is true and norm is 'none': choose a norm, like batch_renorm")

    @property
    def needs(self) -> frozenset[str]:
        """Batch statistics with a batch norm, else nothing."""
        return needs_of(self.norm)

    def build(self, inputs: int, members: int = 1) -> "MLPTrunk":
        """The module for vectors of width `inputs`."""
        return MLPTrunk(self, inputs, members)


class MLPTrunk(Trunk):
    """h_0 = norm(x), h_n = activation(norm(dropout(W_n h_{n-1} + b_n))), for every member."""

    def __init__(self, config: MLP, inputs: int, members: int) -> None:
        super().__init__()
        self.config, self.members = config, members
        activations = [Activation(config.activation) for _ in config.hidden]
        self.scale = scale = activations[0].scale
        widths = (inputs, *(scale * width for width in config.hidden))
        self.width = widths[-1]
        kernel = KERNELS[config.unit_norm]
        self.layers = nn.ModuleList(kernel(i, o // scale, members, config.init) for i, o in pairwise(widths))
        self.dropout = Dropout(config.dropout)
        self.norm_inputs = NORMS[config.norm if config.norm_inputs else "none"](inputs, members)
        self.after = nn.ModuleList(
            normed(activation, width, members, config.norm, config.norm_place)
            for activation, width in zip(activations, config.hidden, strict=True)
        )
        self.activations = nn.ModuleList(activations)

    def forward(self, x: Tensor) -> Tensor:  # [B,D] or [E,B,D] -> [E,B,W]
        x = self.norm_inputs(x)
        for layer, after in zip(self.layers, self.after, strict=True):
            x = after(self.dropout(layer(x)))
        return x

    def out(self, outputs: int) -> nn.Module:
        return Linear(self.width, outputs, self.members, self.config.init)

    def hidden(self) -> list[Units]:
        if self.scale > 1:  # a unit of a CReLU has two outputs
            return []
        return list(zip(self.layers, self.activations, [*self.layers[1:], None], strict=True))
