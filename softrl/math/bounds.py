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


def check_mean(largest: float | None) -> None:
    """Refuse a bound of means that leaves nothing; raises UserError."""
    if largest is not None and largest <= 0:
        raise UserError(f"mean_bound is {largest}: means need room, try 5, or none for no bound")


def mean_bound(largest: float | None) -> Callable[[Tensor], Tensor]:
    """The function that keeps means within a bound smoothly, elementwise; without one they stay as they are.

    largest * tanh(mean / largest)    (Dreamer, arXiv 1912.01603, appendix A)
    """
    if largest is None:
        return lambda mean: mean
    return lambda mean: largest * (mean / largest).tanh()


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
