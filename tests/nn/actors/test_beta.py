"""The Beta actor against torch's Beta distribution and against known moments."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import AffineTransform, Beta as TorchBeta, TransformedDistribution

from softrl.errors import UserError
from softrl.nn.actors.beta import Beta, BetaActor, sample_logit
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 2)


def actor(**options: float) -> BetaActor:
    torch.manual_seed(0)
    return Beta(MLP((8, 8)), **options).build(4, SPEC)


def law(excess: Tensor) -> TransformedDistribution:
    """The textbook's distribution on [-1, 1], in float64."""
    p, q = excess.double() + 1
    return TransformedDistribution(TorchBeta(p, q), AffineTransform(-1, 2))


def test_parameters_are_two_outputs_an_action() -> None:
    assert sum(p.numel() for p in actor().parameters()) == (4 * 8 + 8) + (8 * 8 + 8) + (8 * 4 + 4)


def test_concentrations_are_one_plus_softplus() -> None:
    policy, z = actor(), torch.randn(5, 4)
    raw = policy.out(policy.trunk(z))[0]
    torch.testing.assert_close(policy.excess(z), F.softplus(torch.stack([raw[:, :2], raw[:, 2:]])))


def test_log_prob_is_that_of_torch() -> None:
    policy, z = actor(), torch.randn(64, 4)
    policy.out.weight.data *= 3
    actions = policy(z)
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((1, 64, 2), (1, 64, 1), (1, 64))
    assert torch.equal(actions.prob, torch.ones(1, 64))
    expected = law(policy.excess(z)).log_prob(actions.value[0].double()).sum(-1)
    torch.testing.assert_close(actions.log_prob[0, :, 0].double(), expected, atol=2e-4, rtol=1e-4)


def test_draws_have_the_law_of_the_beta_distribution() -> None:
    """Quantiles of 50000 draws, by Kolmogorov and Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand times."""
    for p, q in ((0.0, 0.0), (1.0, 4.0), (30.0, 10.0)):
        excess = torch.tensor([p, q])[:, None].expand(2, 50_000)
        x = torch.sigmoid(sample_logit(excess)).double().sort().values
        grid = torch.linspace(0, 1, 100_001, dtype=torch.float64)
        density = TorchBeta(torch.tensor(p + 1.0).double(), torch.tensor(q + 1.0).double()).log_prob(grid[1:-1]).exp()
        cumulative = torch.cat([torch.zeros(1), density.cumsum(0) / density.sum()])  # [100000] at grid points
        expected = cumulative[(x * 100_000).long().clamp(max=99_999)]
        rank = torch.arange(50_000) / 50_000
        assert (rank - expected).abs().max() < 1.95 / math.sqrt(50_000)


def test_uniform_when_both_concentrations_are_one() -> None:
    policy = actor()
    policy.out.bias.data.fill_(-100.0)
    policy.out.weight.data.zero_()
    actions = policy(torch.randn(1000, 4))
    torch.testing.assert_close(actions.log_prob, torch.full((1, 1000, 1), -2 * math.log(2)))
    assert float(actions.value.detach().std()) == pytest.approx(2 / math.sqrt(12), abs=0.03)
    assert torch.equal(policy.mode(torch.randn(3, 4)), torch.zeros(3, 2))


def test_gradients_through_draws_are_those_of_the_moments() -> None:
    """E x = p / (p + q) and E x^2 = p (p + 1) / (s (s + 1)) with s = p + q, differentiated by torch."""
    for p, q in ((1.5, 3.0), (6.0, 2.0)):
        point = torch.tensor([p - 1, q - 1], requires_grad=True)
        x = torch.sigmoid(sample_logit(point[:, None].expand(2, 400_000)))
        moments = torch.tensor([p, q], dtype=torch.float64, requires_grad=True)
        s = moments.sum()
        for sampled, exact in ((x, moments[0] / s), (x**2, moments[0] * (moments[0] + 1) / (s * (s + 1)))):
            (estimate,) = torch.autograd.grad(sampled.mean(), [point], retain_graph=True)
            (truth,) = torch.autograd.grad(exact, [moments], retain_graph=True)
            torch.testing.assert_close(estimate.double(), truth, atol=1e-3, rtol=0)


def test_gradient_of_the_entropy() -> None:
    """-d/dz E log pi(a), with gradients through the draws, is the derivative of torch's closed form."""
    policy, z = actor(), torch.randn(1, 4)
    weight = policy.out.weight
    many = policy(z.expand(200_000, 4))
    (estimate,) = torch.autograd.grad(-many.log_prob.mean(), [weight])
    p, q = policy.excess(z).double() + 1
    (truth,) = torch.autograd.grad(TorchBeta(p, q).entropy().sum(), [weight])
    torch.testing.assert_close(estimate, truth, atol=5e-3, rtol=0)


def test_the_mode_is_the_peak() -> None:
    policy, z = actor(), torch.randn(5, 4)
    grid = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
    density = law(policy.excess(z)[..., None]).log_prob(grid)  # [5,2,grid]
    torch.testing.assert_close(policy.mode(z).double(), grid[density.argmax(-1)], atol=2e-4, rtol=0)


def test_far_out_everything_is_finite() -> None:
    policy = actor()
    policy.out.weight.data *= 1e6
    z = torch.randn(200, 4)
    assert policy.excess(z).max() == 999.0
    actions = policy(z)
    gradients = torch.autograd.grad(actions.log_prob.sum() + actions.value.sum(), list(policy.parameters()))
    assert actions.value.abs().max() <= 1
    assert all(t.isfinite().all() for t in (*gradients, actions.log_prob, policy.mode(z)))


def test_a_largest_concentration_that_leaves_none_is_refused() -> None:
    with pytest.raises(UserError, match="concentration_max is 1"):
        Beta(concentration_max=1.0)
