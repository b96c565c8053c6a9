"""Scales of observations and rewards, learned from the stream of collected rows and applied in the update.

Storage keeps what the environment said. Running statistics have one writer: `observe`, called by the collector with
every row, so an evaluation never moves them. Shapes: see `softrl.types`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.transfer import sent
from softrl.types import Carry, Spec


class Moments(nn.Module):
    """Running mean and variance of rows [N,D], by the parallel form of Welford's recursion (Chan et al. 1979)."""

    count: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("variance", torch.zeros(width, dtype=torch.float64))

    def add(self, rows: Tensor, counted: Tensor) -> None:
        """Take in those rows [N,D] that are `counted`, [N] bool."""
        weight = counted.to(torch.float64)[:, None]
        number = weight.sum()
        total = self.count + number
        share = number / total.clamp(min=1.0)
        mean = (rows * weight).sum(0) / number.clamp(min=1.0)
        variance = ((rows - mean).square() * weight).sum(0) / number.clamp(min=1.0)
        delta = mean - self.mean
        self.variance.lerp_(variance, share).addcmul_(delta.square(), share * (1 - share))
        self.mean.addcmul_(delta, share)
        self.count.copy_(total)


class Normalizer(nn.Module, ABC):
    """x -> a scaled x, for observations [..,D]."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Scaled observations, [..,D]."""

    @abstractmethod
    def observe(self, x: Tensor) -> None:
        """Take in the observations of one row, [N,D]."""


@dataclass(frozen=True)
class Unchanged:
    """None: observations as they are."""

    def build(self, width: int) -> Normalizer:
        """The module for observations of that width."""
        return UnchangedNormalizer()


class UnchangedNormalizer(Normalizer):
    """x -> x."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    def observe(self, x: Tensor) -> None:
        pass


@dataclass(frozen=True)
class Running:
    """Observations less their running mean over their running deviation (SimBa, arXiv 2410.09754, eq. 3).

    Before the second row they stay as they are: one row has no deviation to divide by.
    """

    epsilon: float = 1e-8
    """Added to the variance."""
    limit: float = 10.0
    """Largest absolute value that comes out, in standard deviations."""

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or self.limit <= 0:
            raise UserError("a running normaliser needs a positive epsilon and a positive limit")

    def build(self, width: int) -> Normalizer:
        """The module for observations of that width."""
        return RunningNormalizer(self, width)


class RunningNormalizer(Normalizer):
    """x -> (x - mean) / sqrt(variance + epsilon), clipped; x while there are fewer than two rows."""

    def __init__(self, config: Running, width: int) -> None:
        super().__init__()
        self.config, self.moments = config, Moments(width)

    def forward(self, x: Tensor) -> Tensor:
        scale = (self.moments.variance + self.config.epsilon).rsqrt()
        scaled = (x - self.moments.mean.float()) * scale.float()
        return torch.where(self.moments.count > 1, scaled.clamp(-self.config.limit, self.config.limit), x)

    def observe(self, x: Tensor) -> None:
        self.moments.add(x, torch.ones(len(x), dtype=torch.bool, device=x.device))


class RewardNormalizer(nn.Module, ABC):
    """r -> a scaled r, with what it remembers of each environment in the carry."""

    @abstractmethod
    def forward(self, reward: Tensor) -> Tensor:
        """Scaled rewards, [B]."""

    @abstractmethod
    def initial(self, count: int) -> Carry:
        """What is remembered at the start of `count` episodes."""

    @abstractmethod
    def observe(self, reward: Tensor, counted: Tensor, carry: Carry) -> Carry:
        """Take in the rewards of one row, [N], of those environments that are `counted`, [N] bool."""


@dataclass(frozen=True)
class Scale:
    """r -> factor r, the inverse temperature of the 2018 algorithm (arXiv 1801.01290, section 5.2)."""

    factor: float = 1.0
    """What rewards are multiplied with before the backup."""

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise UserError(f"agent.reward_scale.factor is {self.factor}: a reward scale must be positive")

    def build(self, spec: Spec) -> RewardNormalizer:
        """The module."""
        return RewardScale(self)


class RewardScale(RewardNormalizer):
    """r -> factor * r."""

    def __init__(self, config: Scale) -> None:
        super().__init__()
        self.factor = config.factor

    def forward(self, reward: Tensor) -> Tensor:
        return reward * self.factor

    def initial(self, count: int) -> Carry:
        return {}

    def observe(self, reward: Tensor, counted: Tensor, carry: Carry) -> Carry:
        return {}


@dataclass(frozen=True)
class ReturnScale:
    """Rewards over the spread of discounted returns, so that values fit a fixed support (SimBaV2, arXiv 2502.15280).

    r -> r / max(sqrt(Var G + epsilon), max |G| / largest), with G <- r + gamma G within an episode.

    A spread of zero is left out, and before the second reward rewards stay as they are.
    """

    largest: float | None = None
    """Bound on the scaled return so far, as the support has it (5 in SimBaV2); none divides by the deviation only."""
    epsilon: float = 1e-8
    """Added to the variance."""

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or (self.largest is not None and self.largest <= 0):
            raise UserError("a return scale needs a positive epsilon and, if any, a positive largest return")

    def build(self, spec: Spec) -> RewardNormalizer:
        """The module."""
        return ReturnNormalizer(self, spec)


class ReturnNormalizer(RewardNormalizer):
    """r -> r / max(sqrt(Var G + epsilon), max |G| / largest), with G <- r + gamma G within an episode."""

    extreme: Tensor

    def __init__(self, config: ReturnScale, spec: Spec) -> None:
        super().__init__()
        self.config, self.gamma = config, spec.gamma
        self.moments = Moments(1)
        self.register_buffer("extreme", torch.zeros(()))
        self.inverse_bound = 0.0 if config.largest is None else 1 / config.largest

    def forward(self, reward: Tensor) -> Tensor:
        variance = self.moments.variance  # [1]
        # Rewards of a data set are scaled too, and may come before this stream's first one.
        spread = torch.where(variance > 0, (variance + self.config.epsilon).sqrt().float(), 0.0)
        divisor = torch.maximum(spread, self.extreme * self.inverse_bound)
        seen = (self.moments.count > 1) & (divisor > 0)  # one return has no spread to divide by
        return reward / torch.where(seen, divisor, 1.0)

    def initial(self, count: int) -> Carry:
        return {"return": torch.zeros(count, device=self.extreme.device)}

    def observe(self, reward: Tensor, counted: Tensor, carry: Carry) -> Carry:
        # Rows come from the host, where the environment is.
        reward, counted = (sent(x, self.extreme.device) for x in (reward, counted))
        total = torch.where(counted, reward + self.gamma * carry["return"], carry["return"])  # [N]
        self.moments.add(total[:, None], counted)
        self.extreme.copy_(torch.maximum(self.extreme, (total.abs() * counted).max()))
        return {"return": total}
