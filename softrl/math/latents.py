"""What latent variables add to the mathematics: divergences, discrete draws, densities with the latent integrated out.

Shapes: see `softrl.types`; L latents of a row, the acting one first.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.math.choices import gumbel_scores

Estimator = Literal["naive", "nested"]


def normal_kl(mean: Tensor, std: Tensor, other_mean: Tensor, other_std: Tensor) -> Tensor:
    """KL( N(mean, std) || N(other) ) with independent components, [..,S] -> [..] in nats.

    sum_i [ log(o_i / s_i) + (s_i^2 + (m_i - n_i)^2) / (2 o_i^2) - 1/2 ]
    """
    ratio = std / other_std
    distance = (mean - other_mean) / other_std
    return (0.5 * (ratio.square() + distance.square() - 1) - ratio.log()).sum(-1)


def normal_entropy(std: Tensor) -> Tensor:
    """Entropy of independent Gaussians, sum_i [ log s_i + 1/2 log(2 pi e) ], [..,S] -> [..] in nats."""
    return (std.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def choice_kl(log_prob: Tensor, other: Tensor) -> Tensor:
    """KL(p || q) of independent choices from their log-probabilities, [..,G,C] -> [..] in nats."""
    return (log_prob.exp() * (log_prob - other)).sum((-2, -1))


def choice_entropy(log_prob: Tensor) -> Tensor:
    """Entropy of independent choices, -sum p log p, [..,G,C] -> [..] in nats."""
    return -(log_prob.exp() * log_prob).sum((-2, -1))


def straight_through(log_prob: Tensor, exponential: Tensor) -> Tensor:
    """One-hots drawn by exponential noise, with the gradient of the probabilities, [..,C] -> [..,C].

    The estimator is that of Bengio et al. 2013 (arXiv 1308.3432), as DreamerV2 uses it (arXiv 2010.02193, algorithm 1).
    """
    prob = log_prob.exp()
    index = gumbel_scores(log_prob, exponential).argmax(-1, keepdim=True)
    one_hot = torch.zeros_like(prob).scatter(-1, index, 1.0)
    return one_hot + (prob - prob.detach())


def balanced_kl(
    divergence: Callable[[Tensor, Tensor], Tensor],
    posterior: Tensor,
    prior: Tensor,
    free: float,
    weights: tuple[float, float],
) -> Tensor:
    """A divergence whose two sides learn at different rates, beyond some free nats, a scalar.

    w_1 max(free, mean KL(sg(posterior) || prior)) + w_2 max(free, mean KL(posterior || sg(prior)))

    At weights 1 and 1 its value is twice max(free, mean KL), its gradient that of one: Dreamer (arXiv 1912.01603).
    0.8 and 0.2 are DreamerV2 (arXiv 2010.02193, algorithm 2), 1 and 0.1 DreamerV3 (arXiv 2301.04104). It is the mean of
    the batch that nats are free of. Rows are of any shape, [..,W].
    """
    of_prior = divergence(posterior.detach(), prior).mean().clamp(min=free)
    of_posterior = divergence(posterior, prior.detach()).mean().clamp(min=free)
    return weights[0] * of_prior + weights[1] * of_posterior


def log_mean_exp(x: Tensor, dim: int = -1) -> Tensor:
    """log( 1/L sum_l exp(x_l) ) over an axis."""
    return x.logsumexp(dim) - math.log(x.shape[dim])


def naive(log_prob: Tensor) -> Tensor:
    """log 1/L sum_l pi(a|z_l), where the first latent chose the action, [..,L] -> [..] (SMAC, arXiv 2210.00999).

    Its expectation lies above that of log pi(a), the more latents the closer: entropies are never overestimated.
    """
    return log_mean_exp(log_prob)


def nested(log_prob: Tensor) -> Tensor:
    """The nested multilevel estimator of the same density, from L = 1 + 2^n latents, [..,L] -> [..].

    I_l(S) = log (w_0 + sum_{i in S} w_i) / (1 + 2^l)   for sets S of 2^l of the other latents
    mean_i I_0({i}) + sum_{l=1..n} [ I_l(1..2^l) - 1/2 (I_{l-1}(1..2^(l-1)) + I_{l-1}(2^(l-1)+1..2^l)) ]

    The sum telescopes, so that it has the expectation of `naive`, and more variance from the same latents. One latent
    alone is its own estimate. Raises UserError for other numbers of latents.
    """
    check_estimator("nested", log_prob.shape[-1] - 1)
    first, others = log_prob[..., :1], log_prob[..., 1:]
    if not others.shape[-1]:
        return first[..., 0]
    estimate = log_mean_exp(torch.stack(torch.broadcast_tensors(first, others), -1)).mean(-1)
    size = 1
    while size < others.shape[-1]:
        half, rest = others[..., :size], others[..., size : 2 * size]
        fine = naive(torch.cat([first, half, rest], -1))
        coarse = naive(torch.cat([first, half], -1)) + naive(torch.cat([first, rest], -1))
        estimate = estimate + fine - 0.5 * coarse
        size *= 2
    return estimate


def check_estimator(estimator: Estimator, extra: int) -> None:
    """Refuse a number of extra latents that an estimator cannot use; raises UserError."""
    if extra < 0:
        raise UserError(
            f"{extra} extra latents were asked for (agent.actor.particles, or agent.encoder.particles.count of a world "
            "model): it must be 0, which marginalises nothing, or more"
        )
    if estimator == "nested" and extra & (extra - 1):
        raise UserError(f"the nested estimator halves {extra} extra latents to the end: use a power of two, such as 32")


ESTIMATORS: dict[Estimator, Callable[[Tensor], Tensor]] = {"naive": naive, "nested": nested}
"""Log-densities with the latent integrated out, from those given each latent."""


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), which tames large numbers (DreamerV3, arXiv 2301.04104, eq. 9)."""
    return x.sign() * x.abs().log1p()
