"""The losses of soft actor-critic. Shapes: see `softrl.types`."""

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.types import Actions, Atoms, Metrics


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the squared difference, J = 1/2 (Q - y)^2, elementwise (arXiv 1812.05905, eq. 5)."""
    return 0.5 * (prediction - target).square()


def huber(prediction: Tensor, target: Tensor) -> Tensor:
    """1/2 d^2 up to |d| = 1 and |d| - 1/2 above, with d = Q - y, elementwise (Huber 1964)."""
    distance = (prediction - target).abs()
    within = distance.clamp(max=1)
    return within * (distance - 0.5 * within)


def midpoints(quantiles: Tensor) -> Tensor:
    """Levels tau_i = (i + 1/2) / N of quantiles [..,N], the middles of N equal shares, [N]."""
    count = quantiles.shape[-1]
    return (torch.arange(count, device=quantiles.device, dtype=quantiles.dtype) + 0.5) / count


PAIRS = 2**25
"""Pairs of a quantile and a target atom that are held at once."""


def quantile_huber(quantiles: Tensor, target: Atoms, kappa: float) -> Tensor:
    """Quantile regression of every quantile to every target atom (QR-DQN, arXiv 1710.10044, eq. 10).

    J = 1/N sum_i sum_j p_j |tau_i - [u < 0]| L(u) / kappa,    u = y_j - theta_i
    L(u) = u^2 / 2 where |u| <= kappa, else kappa (|u| - kappa / 2)

    `quantiles` are [..,B,N], the target's atoms [B,M] with weights of any size, the loss [..,B]. The target is held
    fixed. With atoms of one weight it is the loss of TQC (arXiv 2005.04269); the division by kappa is that of IQN
    (arXiv 1806.06923, eq. 3).
    """
    scale = 1 / (kappa * quantiles.shape[-1])
    at_once = max(1, PAIRS // quantiles.numel())  # atoms, of which there are thousands where a policy lists its choices
    value, slope = torch.zeros_like(quantiles), torch.zeros_like(quantiles)  # [..,B,N]
    # The slope is written out, so that the pairs are visited once and none is kept for a backward pass.
    with torch.no_grad():
        level = midpoints(quantiles)[:, None]  # [N,1]
        for atoms, prob in zip(target.value.split(at_once, -1), target.prob.split(at_once, -1), strict=True):
            error = atoms[..., None, :] - quantiles[..., None]  # [..,B,N,M]
            bounded = error.clamp(-kappa, kappa)
            pull = torch.where(error < 0, 1 - level, level) * prob[..., None, :] * bounded
            value = value + scale * (pull * (error - bounded / 2)).sum(-1)
            slope = slope - scale * pull.sum(-1)
    return (value + slope * (quantiles - quantiles.detach())).sum(-1)


def cross_entropy(logits: Tensor, prob: Tensor) -> Tensor:
    """Cross entropy of a softmax with target probabilities, -sum_i p_i log softmax(x)_i (C51, arXiv 1707.06887).

    `logits` are [..,B,N] and `prob` [B,N]; returns [..,B].
    """
    return -(prob * logits.log_softmax(-1)).sum(-1)


def policy_loss(q: Tensor, actions: Actions, alpha: Tensor) -> Tensor:
    """Policy objective to minimise (arXiv 1812.05905, eq. 7), a scalar.

    J_pi = E_s sum_k p_k [ sum_c alpha_c log pi_c(a_k | s) - Q(s, a_k) ]

    `q` is [K,B] and `alpha` [C]; gradients reach the policy through `q` (reparametrised actions), `log_prob`, `prob`.
    """
    entropy_cost = (alpha * actions.log_prob).sum(-1)  # [K,B]
    return actions.expectation(entropy_cost - q).mean()


def temperature_loss(alpha: Tensor, actions: Actions, target: Tensor) -> Tensor:
    """Dual objective that keeps the entropy at its target (arXiv 1812.05905, eq. 18), a scalar.

    J(alpha) = sum_c alpha_c (entropy_c - target_c)

    `alpha` and `target` (nats) are [C]; the policy is held fixed.
    """
    return (alpha * (entropy(actions).detach() - target)).sum()


def entropy(actions: Actions) -> Tensor:
    """Batch mean of the policy's entropy by component, -E log pi_c, [C] in nats."""
    return entropies(actions).mean(0)


def entropies(actions: Actions) -> Tensor:
    """The policy's entropy in each state by component, H_c(s) = -sum_k p_k log pi_c(a_k | s), [B,C] in nats."""
    return -actions.expectation(actions.log_prob)


def joined(*groups: Metrics) -> Metrics:
    """Losses or metrics of several parts together; raises UserError for a name that two of them give.

    The second would take the place of the first, which would then not be learned, or not be seen.
    """
    together: Metrics = {}
    for group in groups:
        for name in group:
            if name in together:
                raise UserError(f"two parts of the agent give a loss or a metric the name '{name}': rename one of them")
        together |= group
    return together
