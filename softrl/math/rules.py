"""How an ensemble's return distributions become one: Atoms [E,K,B,M] -> Atoms [K,B,M'].

`check` refuses an ensemble or a head that a rule cannot serve, before anything is built. Shapes: see `softrl.types`.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.types import Atoms


class HeadTraits(Protocol):
    """What a rule asks of a head."""

    @property
    def width(self) -> int:
        """Numbers in an output: one for each atom of a member."""

    @property
    def equal_weights(self) -> bool:
        """Whether atoms are learned values of one weight, and not fixed values of learned weights."""


def draw(members: int, size: int, device: torch.device) -> Tensor:
    """A subset of the members, drawn uniformly on the device, int64 [size]."""
    return torch.rand(members, device=device).topk(size).indices  # the places of the largest of independent numbers


@dataclass(frozen=True)
class Minimum:
    """Keep the member with the smallest mean: the clipped minimum for scalar critics (TD3, arXiv 1802.09477)."""

    def __call__(self, q: Atoms) -> Atoms:
        """Atoms of the most pessimistic member, chosen for each row and action."""
        member = q.mean().argmin(0, keepdim=True)[..., None].expand(-1, -1, -1, q.value.shape[-1])  # [1,K,B,M]
        return Atoms(q.value.gather(0, member)[0], q.prob.gather(0, member)[0])

    def check(self, members: int, head: HeadTraits) -> None:
        """Any ensemble of any head will do."""


@dataclass(frozen=True)
class SubsetMinimum:
    """The minimum of a few members, drawn anew at every call and the same for all rows (REDQ, arXiv 2101.05982).

    Of as many members as it draws it takes the minimum: a target may have drawn them already.
    """

    size: int = 2
    """Members drawn."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"size is {self.size}: a minimum needs at least one member to be drawn")

    @property
    def draws(self) -> int:
        """Members that it looks at, whichever they are: a target may draw as many and leave the others unasked."""
        return self.size

    def __call__(self, q: Atoms) -> Atoms:
        """Atoms of the most pessimistic of the members drawn, chosen for each row and action."""
        members = len(q.value)
        if members == self.size:  # all there are, or drawn already
            return Minimum()(q)
        drawn = draw(members, self.size, q.value.device)
        return Minimum()(Atoms(q.value[drawn], q.prob[drawn]))

    def check(self, members: int, head: HeadTraits) -> None:
        """Raises UserError where fewer members are there than are drawn."""
        if self.size > members:
            raise UserError(
                f"SubsetMinimum draws {self.size} of {members} members: lower its size or raise agent.critic.members"
            )


@dataclass(frozen=True)
class Average:
    """Pool the atoms of all members, the mean for scalar critics.

    Z = 1/E sum_e Z_e

    as a mixture, which is what the actor of REDQ climbs (arXiv 2101.05982).
    """

    def __call__(self, q: Atoms) -> Atoms:
        """The mixture of the members' distributions, [K,B,E*M]."""
        return q.pool(0)

    def check(self, members: int, head: HeadTraits) -> None:
        """Any ensemble of any head will do."""


@dataclass(frozen=True)
class Truncate:
    """Pool the atoms of all members, sort, drop the largest (TQC, arXiv 2005.04269, eq. 11)."""

    drop: int = 2
    """Atoms dropped for each member."""

    def __post_init__(self) -> None:
        if self.drop < 0:
            raise UserError(f"drop is {self.drop}: it counts atoms, so it must not be negative")

    def __call__(self, q: Atoms) -> Atoms:
        """The E * (M - drop) smallest atoms with equal weights, in no order: a set is all that a loss sees of them."""
        members, *_, atoms = q.value.shape
        kept = members * (atoms - self.drop)
        value = q.pool(0).value.topk(kept, largest=False, sorted=False).values  # [K,B,E*(M-drop)]
        return Atoms(value, torch.full_like(value, 1 / kept))

    def check(self, members: int, head: HeadTraits) -> None:
        """Raises UserError where atoms have weights of their own or none of them would be left."""
        if not head.equal_weights:
            raise UserError(
                f"Truncate drops atoms of equal weight and those of a {type(head).__name__} head have weights of their "
                "own: use a Quantile head, or another rule"
            )
        if self.drop >= head.width:
            raise UserError(
                f"Truncate drops {self.drop} atoms a member and the {type(head).__name__} head has {head.width}: "
                "lower drop or use more atoms"
            )


@dataclass(frozen=True)
class Pessimism:
    """Mean less beta standard deviations over the members, atom by atom (BRO, arXiv 2405.16158).

    Of two members that is (Z_1 + Z_2) / 2 - beta |Z_1 - Z_2| / 2.
    """

    beta: float = 0.0
    """Standard deviations of the ensemble taken off; 0 averages quantiles, which is no mixture."""

    def __post_init__(self) -> None:
        if not 0 <= self.beta < math.inf:
            raise UserError(f"beta is {self.beta}: pessimism must be a number that is zero or positive")

    def __call__(self, q: Atoms) -> Atoms:
        """mean_e Z_e - beta std_e Z_e for each atom, [K,B,M]."""
        return Atoms(q.value.mean(0) - self.beta * q.value.std(0, correction=0), q.prob[0])

    def check(self, members: int, head: HeadTraits) -> None:
        """Raises UserError where atoms cannot be combined one by one or there is no spread to take off."""
        if not head.equal_weights:
            raise UserError(
                f"Pessimism combines values atom by atom and those of a {type(head).__name__} head are fixed: use "
                "Average, the mean of the distributions, or Minimum"
            )
        if self.beta and members < 2:
            raise UserError(
                f"Pessimism takes off {self.beta} standard deviations of an ensemble of one, which has none: set its "
                "beta to 0 or raise agent.critic.members"
            )
