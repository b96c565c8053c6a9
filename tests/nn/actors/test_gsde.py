"""The gSDE actor against a loop over matrices, and against its own density."""

import pytest
import torch
from torch.distributions import Normal, TanhTransform, TransformedDistribution

from softrl.errors import UserError
from softrl.nn.actors.gsde import GSDE, GSDEActor
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 2)


def actor(**options: float) -> GSDEActor:
    torch.manual_seed(0)
    return GSDE(MLP((8, 8)), **options).build(4, SPEC)


def test_parameters_are_a_matrix_of_deviations_beside_a_plain_network() -> None:
    policy = actor()
    assert sum(p.numel() for p in policy.parameters()) == (4 * 8 + 8) + (8 * 8 + 8) + (8 * 2 + 2) + 8 * 2
    assert torch.equal(policy.log_std, torch.full((8, 2), -3.0))
    assert policy.matrix == (8, 2)
    assert policy.log_std.decays is False  # type: ignore[attr-defined]


def test_a_perturbed_action_is_a_linear_function_of_the_features() -> None:
    policy, z = actor(log_std_initial=0.5), torch.randn(3, 4)
    policy.log_std.data += torch.randn(8, 2)
    noise = torch.randn(3, 8, 2)
    actions = policy.perturbed(z, noise)
    for b in range(3):
        features = policy.trunk(z[b : b + 1])[0, 0]
        mean, _ = policy.distribution(z[b : b + 1])
        for a in range(2):
            shift = sum(features[f] * policy.log_std[f, a].exp() * noise[b, f, a] for f in range(8))
            torch.testing.assert_close(actions[b, a], torch.tanh(mean[0, a] + shift))


def test_the_same_state_meets_the_same_noise() -> None:
    """What makes it smooth: with the matrix held, the action is a function of the state."""
    policy, z = actor(log_std_initial=0.0), torch.randn(1, 4)
    noise = torch.randn(1, 8, 2)
    assert torch.equal(policy.perturbed(z, noise), policy.perturbed(z, noise))
    assert not torch.equal(policy.perturbed(z, noise), policy.perturbed(z, -noise))


def test_the_distribution_is_that_of_fresh_matrices() -> None:
    policy, z = actor(log_std_initial=-0.5), torch.randn(1, 4)
    u = policy.perturbed(z.expand(50_000, 4), torch.randn(50_000, 8, 2)).double().atanh()
    mean, log_std = policy.distribution(z)
    torch.testing.assert_close(u.mean(0), mean[0].double(), atol=0.01, rtol=0)
    torch.testing.assert_close(u.std(0), log_std[0].exp().double(), atol=0.01, rtol=0)


def test_variance_by_hand() -> None:
    """Features (1, 2) and deviations (3, 4): 1 * 9 + 4 * 16 = 73."""
    policy = GSDE(MLP((2,))).build(2, Spec({"state": (2,)}, 1))
    layer = policy.trunk.layers[0]
    layer.weight.data.copy_(torch.eye(2)[None])
    policy.log_std.data.copy_(torch.tensor([[3.0], [4.0]]).log())
    _, log_std = policy.distribution(torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(log_std.exp() ** 2, torch.tensor([[73.0]]))


def test_log_prob_is_the_density_of_the_squashed_gaussian() -> None:
    policy, z = actor(log_std_initial=-1.0), torch.randn(5, 4)
    actions = policy(z)
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((1, 5, 2), (1, 5, 1), (1, 5))
    mean, log_std = policy.distribution(z)
    law = TransformedDistribution(Normal(mean.double(), log_std.exp().double()), TanhTransform())
    expected = law.log_prob(actions.value[0].double()).sum(-1)
    torch.testing.assert_close(actions.log_prob[0, :, 0].double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(actions.prob, torch.ones(1, 5))


def test_a_state_without_features_has_a_finite_density_and_gradient() -> None:
    policy = actor()
    policy.trunk.layers[-1].weight.data.zero_()
    actions = policy(torch.randn(5, 4))
    gradients = torch.autograd.grad(actions.log_prob.sum(), list(policy.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_reach_features_through_the_noise() -> None:
    """As in SAC of Stable-Baselines3, and other than the paper's detached features."""
    policy, z = actor(), torch.randn(5, 4)
    (gradient,) = torch.autograd.grad(policy.distribution(z)[1].sum(), [policy.trunk.layers[0].weight])
    assert gradient.abs().sum() > 0


def test_the_mean_is_bounded_and_the_mode_is_it() -> None:
    policy, z = actor(mean_bound=1.5), torch.randn(50, 4) * 1000
    mean, _ = policy.distribution(z)
    assert mean.abs().max() == 1.5
    assert torch.equal(policy.mode(z), mean.tanh())


def test_a_bound_that_leaves_no_mean_is_refused() -> None:
    with pytest.raises(UserError, match="mean_bound"):
        GSDE(mean_bound=0.0)
