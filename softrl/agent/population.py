"""Which hidden units of a layer have become useless: ages and utilities. Shapes: see `softrl.types`; U units."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from softrl.agent.plasticity import ContinualBackprop


class Population(nn.Module):
    """The units of a layer as continual backprop sees them (Dohare et al. 2024, Nature 632, algorithm 1).

    u_i <- decay u_i + (1 - decay) E|h_i| mean_o |w_io|, divided by 1 - decay^looks when units are compared.
    """

    utility: Tensor
    age: Tensor
    owed: Tensor

    def __init__(self, config: "ContinualBackprop", members: int, units: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("utility", torch.zeros(members, units))
        self.register_buffer("age", torch.zeros(members, units))  # in updates
        self.register_buffer("owed", torch.zeros(members))  # units to be given up, and a fraction

    def give_up(self, active: Tensor, weight: Tensor) -> Tensor:
        """Which units [E,U] to draw anew, from their activity [E,U] and outgoing weights [E,U,o]; one look."""
        c = self.config
        self.age.add_(c.every)
        self.utility.lerp_(active * weight.abs().mean(-1), 1 - c.decay)
        mature = self.age > c.maturity
        self.owed.add_(mature.sum(-1) * (c.rate * c.every))
        number = self.owed.floor()
        self.owed.sub_(number)
        utility = self.utility / (1 - c.decay ** (self.age / c.every))
        rank = utility.masked_fill(~mature, torch.inf).argsort(stable=True, dim=-1).argsort(-1)
        chosen = mature & (rank < number[:, None])
        self.utility.masked_fill_(chosen, 0)
        self.age.masked_fill_(chosen, 0)
        return chosen
