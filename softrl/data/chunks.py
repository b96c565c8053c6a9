"""Which actions a window of replay counts, and what a critic is given of them. Shapes: see `softrl.types`."""

import torch
from torch import Tensor

from softrl.math.chunks import masked

WHOLE = 0.5
"""Share of the windows of a variable length that keep all their decisions."""


def uniform(low: Tensor, high: Tensor, draw: Tensor) -> Tensor:
    """Integers from `low` to `high`, both included, out of draws from [0, 1), elementwise."""
    # In single precision a draw just below one may round up to one more than there is.
    return (low + (draw * (high - low + 1)).long()).clamp(max=high)


def random_prefixes(inside: Tensor, generator: torch.Generator) -> Tensor:
    """Windows [T,B] of which some end earlier, at a place drawn from all that they have.

    A state is then valued with beginnings of every length, wherever in a plan it was visited.
    """
    count = inside.sum(0)
    place, keep = torch.rand(2, len(count), generator=generator, device=inside.device)
    count = count.where(keep < WHOLE, uniform(torch.ones_like(count), count, place))
    return torch.arange(len(inside), device=inside.device)[:, None] < count


def critic_actions(action: Tensor, inside: Tensor, ended: Tensor, prefixes: bool, generator: torch.Generator) -> Tensor:
    """What a critic is given of windows [T,B,A] whose first decisions count, [T,B]: actions and mask, [B,T,A+1].

    A termination, [B], ends every plan that begins with these actions. Such a window stands for one of them: of full
    length, or of any length where `prefixes` are valued, its missing actions uniform in [-1, 1]. Left at the length at
    which it ended, it would teach nothing of the plans that the policy asks about, and these would be learned from the
    survivors alone.
    """
    horizon, rows, width = action.shape
    count = inside.sum(0)
    full = torch.full_like(count, horizon)
    draw = torch.rand(rows, generator=generator, device=action.device)
    length = torch.where(ended, uniform(count if prefixes else full, full, draw), count)
    missing = torch.rand(horizon, rows, width, generator=generator, device=action.device).mul_(2).sub_(1)
    return masked(action.where(inside[..., None], missing).transpose(0, 1), length)
