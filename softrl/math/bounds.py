"""How a network's output is kept within bounds."""

from collections.abc import Callable

from torch import Tensor

from softrl.errors import UserError

Bound = Callable[[Tensor, float, float], Tensor]
BOUNDS: dict[str, Bound] = {
    "clamp": lambda raw, low, high: raw.clamp(low, high),
    "tanh": lambda raw, low, high: low + 0.5 * (high - low) * (raw.tanh() + 1),
}
"""Cut off, or smoothly."""


def check_log_std(low: float, high: float) -> None:
    """Refuse bounds of log standard deviations between which nothing lies; raises UserError."""
    if low >= high:
        raise UserError(f"log_std_min {low} is not below log_std_max {high}: swap or widen the bounds")
