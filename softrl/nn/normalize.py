"""Scales of rewards, applied in the update and never in storage."""

from dataclasses import dataclass

from torch import Tensor, nn

from softrl.errors import UserError


@dataclass(frozen=True)
class Scale:
    """Rewards times a constant: the inverse temperature of the 2018 algorithm (arXiv 1801.01290, section 5.2)."""

    factor: float = 1.0
    """What rewards are multiplied with before the backup."""

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise UserError(f"agent.reward_scale.factor is {self.factor}: a reward scale must be positive")

    def build(self) -> "RewardScale":
        """The module."""
        return RewardScale(self)


class RewardScale(nn.Module):
    """r -> factor * r."""

    def __init__(self, config: Scale) -> None:
        super().__init__()
        self.factor = config.factor

    def forward(self, reward: Tensor) -> Tensor:  # [B] -> [B]
        return reward * self.factor
