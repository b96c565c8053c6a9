"""Several choices at once: one-hots, their joint combinations, log-probabilities of independent choices.

Shapes: see `softrl.types`; S is the sum of the sizes of the choices, J their product, F their number.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from softrl.errors import UserError
from softrl.types import Spec

LARGEST_JOINT = 1024
"""Most combinations of several choices that are enumerated."""
LARGEST_CHOICE = 4096
"""Most options of one choice."""


def check_choices(part: str, choices: tuple[int, ...]) -> None:
    """Refuse a space without choices, and choices that leave none or too many options; raises UserError."""
    if not choices:
        raise UserError(f"{part} is for discrete choices and the action space has none: use Gaussian with ActionIn")
    if min(choices) < 2:
        raise UserError(
            f"the action space has choices of sizes {choices}: a choice needs at least two options, so take the others "
            "out of the space"
        )
    if max(choices) > LARGEST_CHOICE:
        raise UserError(
            f"the action space has a choice of {max(choices)} options, and at most {LARGEST_CHOICE} are listed: make "
            "several choices of it, such as its digits, or numbers in a Box"
        )


def check_joint(part: str, choices: tuple[int, ...]) -> None:
    """Refuse what `check_choices` does, and more combinations than are enumerated; raises UserError."""
    check_choices(part, choices)
    if not enumerable(choices):
        raise UserError(
            f"{part} lists every combination of choices, at most {LARGEST_JOINT}, and this action space has "
            f"{math.prod(choices)}: use the Factored actor with the ActionIn critic"
        )


def enumerable(choices: tuple[int, ...]) -> bool:
    """Whether the joint combinations are few enough to be listed; those of one choice are its options."""
    return len(choices) == 1 or math.prod(choices) <= LARGEST_JOINT


def components(spec: Spec) -> tuple[str, ...]:
    """Names of the C log-prob components of a policy, each with a temperature of its own: choices first."""
    return ("choices",) * bool(spec.choices) + ("continuous",) * bool(spec.continuous)


def combinations(choices: tuple[int, ...]) -> Tensor:
    """One-hots of every joint combination, the last choice varying fastest, [J,S]."""
    indices = torch.unravel_index(torch.arange(math.prod(choices)), choices)
    return torch.cat([F.one_hot(index, size) for index, size in zip(indices, choices, strict=True)], -1).float()


def places(choices: tuple[int, ...]) -> Tensor:
    """What every option adds to the number of its combination, [S]: `combinations @ places` counts 0 to J - 1."""
    strides = [math.prod(choices[i + 1 :]) for i in range(len(choices))]
    return torch.cat([stride * torch.arange(size) for size, stride in zip(choices, strides, strict=True)]).float()


def other_options(choices: tuple[int, ...]) -> Tensor:
    """For every option, one on the options of the other choices and zero on those of its own, [S,S]."""
    owner = torch.repeat_interleave(torch.arange(len(choices)), torch.tensor(choices))
    return (owner[:, None] != owner).float()


def log_probs(logits: Tensor, choices: tuple[int, ...]) -> Tensor:
    """Log-probability of every option within its choice, a softmax for each choice, [..,S] -> [..,S]."""
    return torch.cat([block.log_softmax(-1) for block in logits.split(choices, -1)], -1)


def likeliest(score: Tensor, choices: tuple[int, ...]) -> Tensor:
    """One-hots of the best option of every choice, [..,S] -> [..,S]."""
    blocks = [F.one_hot(block.argmax(-1), block.shape[-1]) for block in score.split(choices, -1)]
    return torch.cat(blocks, -1).to(score.dtype)


def sample_one_hot(log_prob: Tensor, choices: tuple[int, ...]) -> Tensor:
    """One-hots drawn with the given log-probabilities, [..,S] -> [..,S]."""
    return likeliest(gumbel_scores(log_prob, torch.empty_like(log_prob).exponential_()), choices)


def gumbel_scores(log_prob: Tensor, exponential: Tensor) -> Tensor:
    """Scores s = log p - log E of exponential noise E, whose argmax has the law p, elementwise.

    (Gumbel-max trick; Maddison et al. 2014, arXiv 1411.0030)
    """
    return log_prob - exponential.log()
