"""Kinds of latents: what their rows mean, against torch.distributions."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical, kl_divergence
from torch.distributions.normal import Normal as TorchNormal

from softrl.errors import UserError
from softrl.nn.latents import Normal, OneHot


def test_a_normal_row_is_means_and_raw_deviations() -> None:
    latent = Normal(2, 0.1)
    row, other = torch.randn(2, 5, 4)
    laws = [TorchNormal(x[:, :2], x[:, 2:].exp().add(1).log() + 0.1) for x in (row, other)]
    torch.testing.assert_close(latent.divergence(row, other), kl_divergence(*laws).sum(-1))
    torch.testing.assert_close(latent.entropy(row), laws[0].entropy().sum(-1))
    noise = latent.noise((5,), row)
    torch.testing.assert_close(latent.draw(row, noise), laws[0].loc + laws[0].scale * noise)
    assert torch.equal(latent.typical(row), row[:, :2])


def test_a_row_of_choices_is_logits_mixed_with_the_uniform_ones() -> None:
    latent = OneHot(3, 4, uniform=0.1)
    row, other = torch.randn(2, 5, 12)
    laws = [Categorical(probs=0.9 * x.view(5, 3, 4).softmax(-1) + 0.1 / 4) for x in (row, other)]
    torch.testing.assert_close(latent.divergence(row, other), kl_divergence(*laws).sum(-1))
    torch.testing.assert_close(latent.entropy(row), laws[0].entropy().sum(-1))
    drawn = latent.draw(row, latent.noise((5,), row))
    assert drawn.shape == (5, latent.width)
    torch.testing.assert_close(drawn.view(5, 3, 4).sum(-1), torch.ones(5, 3))
    assert torch.equal(latent.typical(row).view(5, 3, 4).argmax(-1), row.view(5, 3, 4).argmax(-1))


def test_choices_are_drawn_by_their_probabilities() -> None:
    latent, row = OneHot(1, 3), torch.randn(1, 3)
    drawn = latent.draw(row.expand(40_000, 3), latent.noise((40_000,), row))
    torch.testing.assert_close(drawn.mean(0), latent.log_prob(row)[0, 0].exp(), atol=0.01, rtol=0)


def test_bad_values_are_refused() -> None:
    for make in (lambda: Normal(0), lambda: Normal(minimum_std=0), lambda: OneHot(0), lambda: OneHot(uniform=0)):
        with pytest.raises(UserError):
            make()


def test_no_option_is_ever_impossible() -> None:
    """A little of the uniform distribution keeps every divergence below a bound, whatever the logits."""
    latent = OneHot(2, 32, uniform=0.01)
    row, other = (1e4 * F.one_hot(torch.tensor([option, option]), 32).flatten().float() for option in (0, 1))
    low, high = 0.01 / 32, 0.99 + 0.01 / 32
    assert float(latent.log_prob(row).exp().min()) == pytest.approx(low)
    assert float(latent.divergence(row, other)) == pytest.approx(2 * 0.99 * math.log(high / low), rel=1e-4)


def test_divergence_equals_a_loop_over_groups_and_options() -> None:
    latent = OneHot(3, 4, uniform=0.1)
    row, other = torch.randn(2, 12)
    total = 0.0
    for group in range(3):
        p, q = (x[4 * group : 4 * group + 4].double().exp() for x in (row, other))
        p, q = (0.9 * x / x.sum() + 0.1 / 4 for x in (p, q))
        total += sum(float(p[i] * (p[i] / q[i]).log()) for i in range(4))
    assert float(latent.divergence(row, other)) == pytest.approx(total, rel=1e-4)
