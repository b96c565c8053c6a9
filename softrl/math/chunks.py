"""Plans of h actions, of which a beginning is executed. Shapes: see `softrl.types`; h actions of a plan.

A critic is given every action of a plan with its mask behind it: one where it counts, zero (and no action) where not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def length_mask(length: Tensor, horizon: int) -> Tensor:
    """Which of `horizon` actions belong to beginnings of these lengths, [..] -> bool [..,h]."""
    return torch.arange(horizon, device=length.device) < length[..., None]


def masked(plan: Tensor, length: Tensor) -> Tensor:
    """The first `length` actions of a plan, each with the mask one, then zeros; [..,h,A], [..] -> [..,h,A+1].

    A zero action is a legal action: without the mask a short plan would be a long one that ends with rest.
    """
    counted = length_mask(length, plan.shape[-2])[..., None]
    return torch.cat([plan.where(counted, 0.0), counted.to(plan.dtype)], -1)


def mask(value: Tensor, horizon: int) -> Tensor:
    """The mask in what a critic is given, [..,h*(A+1)] -> [..,h]."""
    return value.unflatten(-1, (horizon, -1))[..., -1]


def beginnings(plan: Tensor) -> Tensor:
    """Every beginning of plans, from one action to all of them, as a critic is given them, [B,h,A] -> [h,B,h*(A+1)]."""
    rows, horizon = plan.shape[:2]
    lengths = torch.arange(1, horizon + 1, device=plan.device)[:, None].expand(horizon, rows)
    return masked(plan.expand(horizon, *plan.shape), lengths).flatten(-2)


def powers(gamma: float, count: int, device: torch.device | None = None) -> Tensor:
    """1, gamma, gamma^2 and so on, [count]: the discounts of the actions of a plan, seen from its start."""
    return gamma ** torch.arange(count, device=device)


def executed_length(confidence: Tensor, threshold: float) -> Tensor:
    """Length of a plan that ends before the first confidence below the threshold, [B,h-1] -> [B] in 1..h.

    k = 1 + sum_{i=2..h} prod_{j=2..i} [c_j >= threshold]

    The first action has no confidence: to execute it is what planning was for. softrl's own, docs/chunks.md (C7).
    """
    trusted, actions = confidence >= threshold, 1 + torch.arange(confidence.shape[-1], device=confidence.device)
    return 1 + (trusted[..., None, :] | ~length_mask(actions, len(actions))).all(-1).sum(-1)  # of [B,i,j]


def running_sums(x: Tensor) -> Tensor:
    """Sums of the first entries, of one to all, [..,h] -> [..,h]: a cumsum, written so that a compiler can fuse it."""
    entries = 1 + torch.arange(x.shape[-1], device=x.device)
    return x[..., None, :].where(length_mask(entries, len(entries)), 0.0).sum(-1)  # of [..,i,j]


def no_worse(value: Tensor, doubt: float) -> Tensor:
    """Whether each further action looks no worse than to plan again before it, [E,h,B] -> [B,h-1] of 0 and 1.

    D_i = U_i - U_{i-1},    y_i = [ mean_e D_i + doubt * std_e D_i >= 0 ],    i = 2..h

    `value` holds the soft values U_1..U_h of the beginnings of plans, by member of the ensemble. The members must agree
    that something is lost: what they cannot tell apart counts as no worse. softrl's own, docs/chunks.md (C5).
    """
    gain = value[:, 1:] - value[:, :-1]  # [E,h-1,B]
    bound = gain.mean(0) + doubt * gain.std(0, correction=0)
    return (bound >= 0).to(value.dtype).T


def confidence_loss(logit: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of confidences c = sigmoid(logit) with labels, both [B,h-1], a scalar.

    J = -E sum_i [ y_i log c_i + (1 - y_i) log (1 - c_i) ] / (h-1), which is least where c_i = P(y_i = 1).

    softrl's own, docs/chunks.md (C6).
    """
    return F.binary_cross_entropy_with_logits(logit, label)
