"""The squashed Gaussian's log-density against torch.distributions and by numerical integration."""

import math

import pytest
import torch
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from softrl.math.densities import normal_log_prob, squash, squash_log_det


def test_log_prob_equals_torch_distributions() -> None:
    mean, log_std = torch.randn(64, 3), torch.randn(64, 3) * 0.5 - 1
    torch.manual_seed(0)
    action, log_prob = squash(mean, log_std)
    torch.manual_seed(0)
    u = mean + log_std.exp() * torch.randn_like(mean)
    reference = TransformedDistribution(Normal(mean, log_std.exp()), [TanhTransform(cache_size=1)])
    assert torch.equal(action, u.tanh())
    # torch recovers u from the action, which loses digits near +-1: compare where it keeps them
    inside = (action.abs() < 0.99).all(-1)
    assert inside.sum() > 20
    torch.testing.assert_close(log_prob[inside], reference.log_prob(action).sum(-1)[inside], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("u", [-40.0, -5.0, 0.0, 5.0, 40.0])
def test_log_det_is_finite_and_right_far_out(u: float) -> None:
    x = torch.tensor(u, dtype=torch.float64)
    # log(1 - tanh^2 u) = log 4 - 2|u| - 2 log(1 + exp(-2|u|))
    expected = math.log(4) - 2 * abs(u) - 2 * math.log1p(math.exp(-2 * abs(u)))
    assert abs(float(squash_log_det(x)) - expected) < 1e-9


def test_density_integrates_to_one() -> None:
    action = torch.linspace(-1 + 1e-6, 1 - 1e-6, 200_001, dtype=torch.float64)
    u, mean, log_std = action.atanh(), 0.3, -0.7
    noise = (u - mean) / math.exp(log_std)
    log_std_ = torch.full_like(u, log_std)
    density = (normal_log_prob(noise, log_std_) - squash_log_det(u)).exp()
    assert abs(float(torch.trapezoid(density, action)) - 1) < 1e-4
