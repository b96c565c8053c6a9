"""How a network's output is kept within bounds."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor

from softrl.errors import UserError

Bound = Callable[..., Tensor]  # of raw, low, high
BOUNDS: dict[str, Bound] = {
    "clamp": lambda raw, low, high: raw.clamp(low, high),
    "tanh": lambda raw, low, high: low + 0.5 * (high - low) * (raw.tanh() + 1),
}
"""Cut off, or smoothly."""


def check_log_std(low: float, high: float) -> None:
    """Refuse bounds of log standard deviations between which nothing lies; raises UserError."""
    if low >= high:
        raise UserError(f"log_std_min {low} is not below log_std_max {high}: swap or widen the bounds")


class LogStdBounds(Protocol):
    """The bounds in the configuration of a Gaussian policy."""

    @property
    def log_std_min(self) -> float:
        """Smallest log standard deviation."""

    @property
    def log_std_max(self) -> float:
        """Largest log standard deviation."""

    @property
    def log_std_bound(self) -> str:
        """Which of the BOUNDS."""


def log_std_bound(config: LogStdBounds) -> Callable[[Tensor], Tensor]:
    """The function that keeps raw log standard deviations within the bounds of a configuration, elementwise."""
    return partial(BOUNDS[config.log_std_bound], low=config.log_std_min, high=config.log_std_max)
