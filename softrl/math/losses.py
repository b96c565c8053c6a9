"""The losses of soft actor-critic. Shapes: see `softrl.types`."""

from torch import Tensor

from softrl.types import Actions


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the squared difference, J = 1/2 (Q - y)^2, elementwise (arXiv 1812.05905, eq. 5)."""
    return 0.5 * (prediction - target).square()


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
    return -actions.expectation(actions.log_prob).mean(0)
