"""The equations of the soft backup. Shapes: see `softrl.types`."""

import torch
from torch import Tensor

from softrl.types import Actions, Atoms


def soft_value(q: Atoms, actions: Actions, alpha: Tensor) -> Atoms:
    """Soft state value as a distribution (Haarnoja et al. 2018, arXiv 1812.05905, eq. 3).

    V(s) = sum_k p_k [ Q(s, a_k) - sum_c alpha_c log pi_c(a_k | s) ]

    `q` holds [K,B,M] atoms and `alpha` [C] temperatures; returns [B,K*M] atoms.
    """
    entropy_cost = (alpha * actions.log_prob).sum(-1)  # [K,B]
    value = q.value - entropy_cost[..., None]  # [K,B,M]
    prob = q.prob * actions.prob[..., None]  # [K,B,M]
    return Atoms(value.movedim(0, -2).flatten(-2), prob.movedim(0, -2).flatten(-2))


def bellman(reward: Tensor, discount: Tensor, value: Atoms) -> Atoms:
    """Backed-up return distribution, y = r + discount * V(s') (arXiv 1812.05905, eq. 2).

    `reward` and `discount` are [B]; `value` holds [B,M] atoms, and so does the result.
    """
    return Atoms(reward[:, None] + discount[:, None] * value.value, value.prob)


def n_step(reward: Tensor, inside: Tensor, ended: Tensor, powers: Tensor) -> tuple[Tensor, Tensor]:
    """Return of the first m decisions of a window and the discount of what follows (Sutton and Barto 2018, eq. 7.1).

    R = sum_{i<m} gamma^i r_i,    discount = gamma^m * (not terminated before m)

    `reward` and `inside` are [T,B]; `inside` marks the first m rows of a window, m at least 1. The other rows are
    ignored: they belong to the next episode or are not written yet. `ended` [B] says whether one of the first m is a
    termination; `powers` [T+1] are 1, gamma, gamma^2 and so on. Both results are [B].
    """
    total = (reward.where(inside, 0.0) * powers[:-1, None]).sum(0)
    return total, powers.take(inside.sum(0)) * ~ended


def lambda_return(reward: Tensor, discount: Tensor, value: Tensor, decay: float) -> Tensor:
    """Exponentially weighted average of the returns of all lengths (Dreamer, arXiv 1912.01603, eq. 6).

    R_t = r_t + discount_t [ (1 - decay) V_{t+1} + decay R_{t+1} ],    R_{T-1} = r_{T-1} + discount_{T-1} V_T

    All are [T,B]: `value` has V_{t+1}, that of the state after decision t, in place t.
    """
    after = value[-1]
    returns = []
    for t in reversed(range(len(reward))):
        after = reward[t] + discount[t] * torch.lerp(value[t], after, decay)
        returns.append(after)
    return torch.stack(returns[::-1])
