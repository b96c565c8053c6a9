"""Log-densities of policies. Shapes: see `softrl.types`."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def normal_log_prob(noise: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of u = mean + std * noise, log N(u; mean, std), elementwise."""
    return -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)


def standard_normal(like: Tensor) -> Tensor:
    """Independent draws of N(0, 1) in the shape, type and place of a tensor."""
    # Not randn_like, for which a compiler stores the tensor itself.
    return torch.randn(like.shape, device=like.device, dtype=like.dtype)


def squash_log_det(u: Tensor) -> Tensor:
    """Log-derivative of a = tanh(u), elementwise and stable for any u (arXiv 1812.05905, appendix C).

    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u))
    """
    return 2 * (math.log(2) - u - F.softplus(-2 * u))


def squashed(mean: Tensor, log_std: Tensor) -> Tensor:
    """A sample of the tanh-Gaussian without its density, a = tanh(mean + std * noise), [..,A] (arXiv 1812.05905)."""
    return torch.tanh(mean + log_std.exp() * standard_normal(mean))


def squash(mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
    """A reparametrised sample of the tanh-Gaussian and its log-density (arXiv 1812.05905, eq. 26).

    a = tanh(mean + std * noise),    log pi(a) = sum_i [ log N(u_i) - log(1 - tanh(u_i)^2) ]

    `mean` and `log_std` are [..,A]; returns a, [..,A] in (-1, 1), and log pi(a), [..].
    """
    value, log_prob = squash_components(mean, log_std)
    return value, log_prob.sum(-1)


def squash_components(mean: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
    """The same with the log-density of each component, [..,A]: log N(u_i) - log(1 - tanh(u_i)^2)."""
    noise = standard_normal(mean)
    u = mean + log_std.exp() * noise
    log_prob = normal_log_prob(noise, log_std) - squash_log_det(u)
    return u.tanh(), log_prob
