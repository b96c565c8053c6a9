"""Exact soft policy iteration and soft value iteration on a finite problem: the ground truth for everything learned.

Shapes: S states, A actions to choose from.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LIMIT = 100_000  # sweeps before an iteration is called divergent


class Problem(NamedTuple):
    """A finite Markov decision problem with an entropy bonus, in float64.

    A row of `transition` may sum to less than one: the missing mass ends the episode. `cell` is the width of one
    action: 1 counts actions, 2/A takes them for the A cells of [-1, 1] and makes every log-probability a log-density.
    """

    transition: Tensor  # [S,A,S]
    reward: Tensor  # [S,A]
    gamma: float
    alpha: float
    cell: float = 1.0


class Solution(NamedTuple):
    """The soft-optimal values and policy of a problem."""

    q: Tensor  # [S,A]
    value: Tensor  # [S]
    policy: Tensor  # [S,A], sums to 1


def entropy(problem: Problem, policy: Tensor) -> Tensor:
    """H(s) = -sum_a pi(a|s) log(pi(a|s) / cell), [S,A] -> [S] nats: differential entropy where actions are cells."""
    return torch.special.entr(policy).sum(-1) + math.log(problem.cell)


def backup(problem: Problem, value: Tensor) -> Tensor:
    """Q(s,a) = r(s,a) + gamma sum_s' p(s'|s,a) V(s'), [S] -> [S,A]."""
    return problem.reward + problem.gamma * problem.transition @ value


def soft_maximum(problem: Problem, q: Tensor) -> Tensor:
    """V(s) = alpha log sum_a cell exp(Q(s,a) / alpha), [S,A] -> [S]: the best that a policy gets out of a fixed Q."""
    return problem.alpha * (torch.logsumexp(q / problem.alpha, -1) + math.log(problem.cell))


def soft_evaluation(problem: Problem, policy: Tensor) -> tuple[Tensor, Tensor]:
    """Q and V of a policy, from the linear system (I - gamma P_pi) V = r_pi + alpha H_pi.

    [S,A] -> [S,A], [S]. This is the fixed point of the soft Bellman backup (Haarnoja et al. 2018, arXiv 1801.01290,
    lemma 1). Raises torch.linalg.LinAlgError where gamma is 1 and nothing ends.
    """
    chain = torch.einsum("sa,sat->st", policy, problem.transition)  # [S,S]
    gain = (policy * problem.reward).sum(-1) + problem.alpha * entropy(problem, policy)  # [S]
    identity = torch.eye(len(gain), dtype=gain.dtype)
    value = torch.linalg.solve(identity - problem.gamma * chain, gain)
    return backup(problem, value), value


def soft_improvement(problem: Problem, q: Tensor) -> Tensor:
    """pi(a|s) = exp(Q(s,a) / alpha) / Z(s): the policy nearest to exp(Q / alpha) in KL divergence, [S,A] -> [S,A].

    Source: arXiv 1801.01290, equation 4 and lemma 2, with every policy allowed.
    """
    return torch.softmax(q / problem.alpha, -1)


def soft_policy_iteration(problem: Problem, tolerance: float = 1e-11) -> Solution:
    """Evaluate and improve, from the uniform policy on, until Q moves by less than `tolerance` of its size.

    Source: arXiv 1801.01290, theorem 1. Raises ArithmeticError if it does not converge.
    """
    policy = torch.full_like(problem.reward, 1 / problem.reward.shape[1])
    q, _ = soft_evaluation(problem, policy)
    for _ in range(LIMIT):
        policy = soft_improvement(problem, q)
        before, (q, value) = q, soft_evaluation(problem, policy)
        if _settled(before, q, tolerance):
            return Solution(q, value, policy)
    raise ArithmeticError(f"soft policy iteration did not settle in {LIMIT} rounds")


def soft_value_iteration(problem: Problem, tolerance: float = 1e-13) -> Solution:
    """Repeat Q <- r + gamma P V, V <- alpha log sum exp(Q / alpha), a gamma-contraction, until Q stands still.

    The error left is at most gamma / (1 - gamma) times the last move. Source: Haarnoja et al. 2017, arXiv 1702.08165,
    theorem 3. Raises ArithmeticError if it does not converge.
    """
    q = problem.reward
    for _ in range(LIMIT):
        before, q = q, backup(problem, soft_maximum(problem, q))
        if _settled(before, q, tolerance):
            return Solution(q, soft_maximum(problem, q), soft_improvement(problem, q))
    raise ArithmeticError(f"soft value iteration did not settle in {LIMIT} sweeps; is gamma below 1?")


def _settled(before: Tensor, after: Tensor, tolerance: float) -> bool:
    scale = after.abs().max().clamp(min=1.0)
    return bool((after - before).abs().max() < tolerance * scale)
