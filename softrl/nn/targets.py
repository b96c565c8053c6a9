"""Target networks: copies that follow a learned network at a distance."""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from softrl.errors import UserError

M = TypeVar("M", bound=nn.Module)


def check_tau(path: str, tau: float) -> None:
    """Refuse a rate outside (0, 1]; raises UserError."""
    if not 0 < tau <= 1:
        raise UserError(f"{path} is {tau}: it must lie in (0, 1], where 1 copies the weights")


def frozen_copy(module: M) -> M:
    """A copy without gradients: targets start as hard copies."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def polyak_update(target: nn.Module, source: nn.Module, tau: float) -> None:
    """Polyak averaging, target <- target + tau (source - target); tau = 1 copies (arXiv 1801.01290, algorithm 1).

    Of parameters: buffers, such as running statistics, are the target's own.
    """
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), tau)


def of_members(network: nn.Module, drawn: Tensor, members: int) -> dict[str, Tensor]:
    """Parameters of a few of a network's members, `drawn` [n]: all of softrl's layers have members, or parts, first."""
    return {name: p.unflatten(0, (members, -1))[drawn].flatten(0, 1) for name, p in network.named_parameters()}
