"""Divergences against torch.distributions, densities with the latent integrated out against quadrature."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, tensor
from torch.distributions import Categorical, Normal, kl_divergence

from softrl.errors import UserError
from softrl.math.latents import (
    balanced_kl,
    check_estimator,
    choice_entropy,
    choice_kl,
    naive,
    nested,
    normal_entropy,
    normal_kl,
    straight_through,
    symlog,
)

STD = 0.5  # of the toy policy a | z ~ N(z, STD) with z ~ N(0, 1), whose marginal is N(0, 1 + STD^2)
TRUTH = -0.5 * math.log(2 * math.pi * math.e * (1 + STD**2))  # E log pi(a)


def test_normals_against_torch() -> None:
    mean, other = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    std, other_std = torch.rand(2, 5, 3) + 0.1, torch.rand(2, 5, 3) + 0.1
    expected = kl_divergence(Normal(mean, std), Normal(other, other_std)).sum(-1)
    torch.testing.assert_close(normal_kl(mean, std, other, other_std), expected)
    torch.testing.assert_close(normal_entropy(std), Normal(mean, std).entropy().sum(-1))


def test_choices_against_torch() -> None:
    p, q = torch.randn(2, 4, 3, 5).log_softmax(-1)
    expected = kl_divergence(Categorical(logits=p), Categorical(logits=q)).sum(-1)
    torch.testing.assert_close(choice_kl(p, q), expected)
    torch.testing.assert_close(choice_entropy(p), Categorical(logits=p).entropy().sum(-1))


def test_one_hots_are_drawn_by_their_law_with_the_gradient_of_the_probabilities() -> None:
    logits = tensor([0.5, -1.0, 1.5], requires_grad=True)
    log_prob = logits.log_softmax(-1)
    drawn = straight_through(log_prob.expand(40_000, 3), torch.empty(40_000, 3).exponential_())
    assert sorted(drawn.detach().unique().tolist()) == pytest.approx([0, 1], abs=1e-6)
    torch.testing.assert_close(drawn.mean(0), log_prob.exp(), atol=0.01, rtol=0)
    scores = tensor([1.0, 2.0, -3.0])
    (gradient,) = torch.autograd.grad((drawn[0] * scores).sum(), logits, retain_graph=True)
    (expected,) = torch.autograd.grad((log_prob.exp() * scores).sum(), logits)
    torch.testing.assert_close(gradient, expected)


def rows() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)


def kl(row: Tensor, other: Tensor) -> Tensor:
    return normal_kl(row, torch.ones_like(row), other, torch.full_like(row, 2.0))


@pytest.mark.parametrize(("free", "weights"), [(0.0, (1.0, 1.0)), (0.0, (0.8, 0.2)), (100.0, (0.8, 0.2))])
def test_the_two_sides_of_a_divergence(free: float, weights: tuple[float, float]) -> None:
    posterior, prior = rows()
    mean = kl(posterior, prior).mean()
    expected = torch.autograd.grad(mean, [posterior, prior], retain_graph=True)
    loss = balanced_kl(kl, posterior, prior, free, weights)
    torch.testing.assert_close(loss, sum(weights) * mean.clamp(min=free))
    gradients = torch.autograd.grad(loss, [posterior, prior])
    share = 0.0 if free else 1.0
    torch.testing.assert_close(gradients[0], share * weights[1] * expected[0])
    torch.testing.assert_close(gradients[1], share * weights[0] * expected[1])


def toy(extra: int, draws: int) -> Tensor:
    """log pi(a | z_l) of a ~ pi(. | z_0) and fresh latents, [draws,1+extra] in float64."""
    z = torch.randn(draws, 1 + extra, dtype=torch.float64)
    a = z[:, :1] + STD * torch.randn(draws, 1, dtype=torch.float64)
    return Normal(z, STD).log_prob(a)


@cache
def quadrature(extra: int, points: int) -> tuple[Tensor, Tensor]:
    """The same at every node of a product of Gauss-Hermite rules over z_0, the noise of a and the other latents."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    grid = torch.tensor(list(itertools.product(nodes, repeat=2 + extra)))
    weight = torch.tensor(list(itertools.product(weights / weights.sum(), repeat=2 + extra))).prod(-1)
    a = grid[:, :1] + STD * grid[:, 1:2]
    return Normal(torch.cat([grid[:, :1], grid[:, 2:]], -1), STD).log_prob(a), weight


def test_expectations_by_quadrature() -> None:
    """Above the true E log pi(a) and closer with every latent, and both estimators agree."""
    none, weight = quadrature(0, 24)
    conditional = float((naive(none) * weight).sum())
    assert conditional == pytest.approx(-0.5 * math.log(2 * math.pi * math.e * STD**2), abs=1e-9)
    one, weight = quadrature(1, 24)
    first = float((naive(one) * weight).sum())
    assert float((nested(one) * weight).sum()) == pytest.approx(first, abs=1e-12)
    two, weight = quadrature(2, 16)
    second = float((naive(two) * weight).sum())
    assert float((nested(two) * weight).sum()) == pytest.approx(second, abs=1e-9)
    assert conditional > first > second > TRUTH + 0.05


def test_draws_have_the_expectation_of_the_quadrature() -> None:
    one, weight = quadrature(1, 24)
    expected = float((naive(one) * weight).sum())
    assert float(naive(toy(1, 200_000)).mean()) == pytest.approx(expected, abs=0.01)


def test_entropy_is_never_overestimated_and_the_bound_tightens() -> None:
    means = [float(naive(toy(extra, 10_000)).mean()) for extra in (0, 2, 8, 32, 128)]
    assert all(before > after for before, after in itertools.pairwise(means))
    assert 0 < means[-1] - TRUTH < 0.05


@pytest.mark.parametrize("extra", [1, 4, 16])
def test_the_nested_estimator_has_the_naive_ones_expectation_and_more_variance(extra: int) -> None:
    log_prob = toy(extra, 40_000)
    difference = nested(log_prob) - naive(log_prob)
    error = float(difference.std()) / math.sqrt(len(difference))
    assert abs(float(difference.mean())) < 4 * error + 1e-12
    assert float(nested(log_prob).std()) >= float(naive(log_prob).std())


def test_nested_by_hand() -> None:
    """Weights 1; 2, 4: levels 0 (mean of two), then one residual."""
    w = tensor([1.0, 2.0, 4.0]).log()
    level0 = (math.log(3 / 2) + math.log(5 / 2)) / 2
    residual = math.log(7 / 3) - 0.5 * (math.log(3 / 2) + math.log(5 / 2))
    assert float(nested(w)) == pytest.approx(level0 + residual, rel=1e-6)


def test_one_latent_is_its_own_estimate() -> None:
    log_prob = torch.randn(7, 1)
    assert torch.equal(naive(log_prob), log_prob[:, 0])
    assert torch.equal(nested(log_prob), log_prob[:, 0])


def test_symlog_by_hand() -> None:
    x = tensor([-(math.e**2) + 1, 0.0, math.e - 1])
    torch.testing.assert_close(symlog(x), tensor([-2.0, 0.0, 1.0]))


def test_bad_numbers_of_latents_are_refused() -> None:
    with pytest.raises(UserError, match="-1 extra latents"):
        check_estimator("naive", -1)
    with pytest.raises(UserError, match="power of two"):
        nested(torch.randn(3, 4))
