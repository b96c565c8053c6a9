"""How long the plans are that windows stand for, and what a critic is given of them. Shapes: see `softrl.types`."""

import torch
from torch import Tensor

from softrl.math.chunks import masked

WHOLE = 0.5
"""Share of the windows of a variable length that stand for all that is left of a plan."""


def drawn_lengths(left: Tensor, generator: torch.Generator) -> Tensor:
    """Lengths of the beginnings of plans that windows stand for, of plans with so many actions left, [B] -> [B].

    A state is then valued with beginnings of every length, wherever in a plan it was visited. Nothing of what came of
    the actions has a say in the length: were those that ended an episode told at other lengths than those that did
    not, no length would be told how often it ends one.
    """
    place, keep = torch.rand(2, len(left), generator=generator, device=left.device)
    # In single precision a draw just below one may round up to one more than there is.
    shorter = (1 + (place * left).long()).clamp(max=left)
    return left.where(keep < WHOLE, shorter)


def critic_actions(action: Tensor, inside: Tensor, length: Tensor, generator: torch.Generator) -> Tensor:
    """What a critic is given of windows [T,B,A] whose first decisions count, [T,B]: actions and mask, [B,T,A+1].

    A termination ends every plan that begins with these actions. Such a window still stands for one of the `length`,
    [B], that it was to have, its missing actions uniform in [-1, 1]. Left at the length at which it ended, it would
    teach nothing of longer plans, and these would be learned from the survivors alone.
    """
    action = action.transpose(0, 1)  # [B,T,A]
    missing = torch.empty(action.shape, device=action.device).uniform_(-1, 1, generator=generator)
    return masked(action.where(inside.T[..., None], missing), length)
