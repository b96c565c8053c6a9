"""The distribution of joint choices, enumerated. Shapes: see `softrl.types`; L logits, S options, J joint choices."""

import math

import torch
from torch import Tensor, nn

from softrl.math.choices import combinations, likeliest, log_probs, sample_one_hot


class JointChoices(nn.Module):
    """pi(d) of every joint choice d from L logits: one for each option, or with `joint` one for each combination.

    With a softmax for each choice, pi(d) is the product of its options' probabilities; of all joint distributions it
    expresses those whose choices are independent. One softmax over the combinations expresses all of them.
    """

    combinations: Tensor
    parts: Tensor
    options: Tensor

    def __init__(self, choices: tuple[int, ...], joint: bool) -> None:
        super().__init__()
        self.sizes = (math.prod(choices),) if joint else choices
        every = combinations(choices)
        self.register_buffer("combinations", every, persistent=False)  # [J,S]
        # parts @ options = combinations: the logits of each, times the options that a logit stands for.
        self.register_buffer("parts", combinations(self.sizes), persistent=False)  # [J,L]
        self.register_buffer("options", every if joint else torch.eye(sum(choices)), persistent=False)  # [L,S]

    @property
    def logits(self) -> int:
        """How many numbers L a network has to give."""
        return sum(self.sizes)

    def joint(self, logits: Tensor) -> Tensor:
        """Log-probability of every joint choice, [B,L] -> [J,B]."""
        return self.parts @ log_probs(logits, self.sizes).T

    def value(self, rows: int) -> Tensor:
        """One-hots of every joint choice, the same for all rows, [J,B,S]."""
        return self.combinations[:, None].expand(-1, rows, -1)

    def sample(self, logits: Tensor) -> Tensor:
        """One-hots of one joint choice, [B,L] -> [B,S]."""
        return sample_one_hot(log_probs(logits, self.sizes), self.sizes) @ self.options

    def mode(self, logits: Tensor) -> Tensor:
        """One-hots of the likeliest joint choice, [B,L] -> [B,S]."""
        return likeliest(logits, self.sizes) @ self.options
