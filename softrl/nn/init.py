"""Initialisers of weights [E,i,o], one member at a time so that an ensemble is drawn like single networks.

Kernels of convolutions have their own. Shapes: see `softrl.types`.
"""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

Init = Literal["orthogonal", "xavier", "lecun", "he"]
KernelInit = Literal["delta_orthogonal", "orthogonal"]


def _transposed(draw: Callable[[Tensor], Tensor]) -> Callable[[Tensor], None]:
    # torch.nn.init counts a matrix as [o,i]; ours are [i,o].
    def initialise(weight: Tensor) -> None:
        for member in weight.data:
            draw(member.T)

    return initialise


INITIALISERS: dict[Init, Callable[[Tensor], None]] = {
    "orthogonal": _transposed(nn.init.orthogonal_),
    "xavier": _transposed(nn.init.xavier_uniform_),
    # U(-1/sqrt(i), 1/sqrt(i)), what torch.nn.Linear draws.
    "lecun": _transposed(lambda member: nn.init.kaiming_uniform_(member, a=5**0.5)),
    "he": _transposed(lambda member: nn.init.kaiming_normal_(member, nonlinearity="relu")),
}
"""Orthogonal (Saxe et al. 2013, arXiv 1312.6120), Xavier uniform (Glorot and Bengio 2010), LeCun uniform, He normal
(He et al. 2015, arXiv 1502.01852)."""


def initialise(weight: Tensor, init: Init, gain: float = 1.0) -> None:
    """Draw `gain` times what an initialiser draws, in place: sqrt(2) before a ReLU, 0 for a layer that is silent."""
    INITIALISERS[init](weight)
    weight.data.mul_(gain)


def delta_orthogonal(kernel: Tensor, gain: float = 1.0) -> None:
    """Zeros around `gain` times an orthogonal matrix, in place: [o,i,h,w] (Xiao et al. 2018, arXiv 1806.05393)."""
    height, width = kernel.shape[-2:]
    kernel.data.zero_()
    nn.init.orthogonal_(kernel.data[..., height // 2, width // 2], gain)


KERNEL_INITIALISERS: dict[KernelInit, Callable[[Tensor, float], Any]] = {
    "delta_orthogonal": delta_orthogonal,
    "orthogonal": nn.init.orthogonal_,
}
"""Kernels [o,i,h,w]: an orthogonal matrix at the centre, or the whole kernel as one, [o,i*h*w]."""
