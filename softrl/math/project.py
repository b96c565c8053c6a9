"""Return distributions written as probabilities of evenly spaced values. Shapes: see `softrl.types`."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from softrl.types import Atoms


class Support(NamedTuple):
    """Evenly spaced values z_0 = low, .., z_{N-1} = high."""

    low: float
    high: float
    size: int  # N

    @property
    def gap(self) -> float:
        """Distance of two neighbours."""
        return (self.high - self.low) / (self.size - 1)

    def values(self, like: Tensor) -> Tensor:
        """The values, [N], on the device and with the type of another tensor; a compiler folds them to a constant."""
        return torch.linspace(self.low, self.high, self.size, device=like.device, dtype=like.dtype)


def two_neighbours(atoms: Atoms, support: Support) -> Tensor:
    """Every atom's weight split between its two neighbours in the support (C51, arXiv 1707.06887, eq. 7).

    p_i = sum_j p_j max(0, 1 - |clip(y_j, low, high) - z_i| / gap)

    [..,M] atoms to [..,N] probabilities. Mass is kept, and so is the mean of what lies inside the support. An atom
    alone gives the two-hot encoding of its value.
    """
    last = support.size - 1
    position = ((atoms.value - support.low) / support.gap).clamp(0, last)  # [..,M]
    # Clamped once more as an index: the index of a value that is not a number would lie outside the support.
    lower = position.long().clamp(0, last - 1)
    upper_share = position - lower
    prob = position.new_zeros(*position.shape[:-1], support.size)
    # Two scatters, because the kernel between all atoms and all values would hold M * N numbers a row.
    prob = prob.scatter_add(-1, lower, atoms.prob * (1 - upper_share))
    return prob.scatter_add(-1, lower + 1, atoms.prob * upper_share)


def hl_gauss(atoms: Atoms, support: Support, sigma: float) -> Tensor:
    """Every atom smeared out to a normal density, cut to the support's bins (HL-Gauss, arXiv 2403.03950, section 3.1).

    p_i = sum_j p_j [Phi((e_{i+1} - y_j) / s) - Phi((e_i - y_j) / s)] / [Phi((e_N - y_j) / s) - Phi((e_0 - y_j) / s)]

    [..,M] atoms, clipped to the support, to [..,N] probabilities. Bins have the support's values for centres, edges
    e_i = z_i - gap / 2, and s is `sigma` gaps.
    """
    half = support.gap / 2
    edges = Support(support.low - half, support.high + half, support.size + 1).values(atoms.value)  # [N+1]
    centre = atoms.value.clamp(support.low, support.high)[..., None]  # [..,M,1]
    below = torch.erf((edges - centre) / (math.sqrt(2) * sigma * support.gap))  # [..,M,N+1]
    inside = below[..., -1:] - below[..., :1]  # [..,M,1]
    return (atoms.prob[..., None] * below.diff(dim=-1) / inside).sum(-2)


def clipped_mass(atoms: Atoms, support: Support) -> Tensor:
    """Share of the atoms' mass, [..,M], that lies beyond the ends of the support, a scalar."""
    beyond = (atoms.value < support.low) | (atoms.value > support.high)
    return (atoms.prob * beyond).sum(-1).mean()
