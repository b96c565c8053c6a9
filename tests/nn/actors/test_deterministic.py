"""The deterministic actor: one action, its gradient, noise only where it explores."""

import pytest
import torch

from softrl.errors import UserError
from softrl.math.losses import policy_loss
from softrl.nn.actors.deterministic import Deterministic, DeterministicActor
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 2)


def actor(noise: float = 0.1) -> DeterministicActor:
    torch.manual_seed(0)
    return Deterministic(MLP((8, 8)), noise).build(4, SPEC)


def test_learning_sees_the_action_without_noise_and_without_entropy() -> None:
    policy, z = actor(), torch.randn(5, 4)
    actions = policy(z)
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((1, 5, 2), (1, 5, 1), (1, 5))
    assert torch.equal(actions.value[0], policy.mode(z))
    assert torch.equal(actions.value[0], policy.out(policy.trunk(z))[0].tanh())
    assert torch.equal(actions.log_prob, torch.zeros(1, 5, 1))
    assert torch.equal(actions.prob, torch.ones(1, 5))


def test_the_policy_gradient_is_the_deterministic_one() -> None:
    """d/dtheta of E[alpha log pi - Q] is -dQ/da da/dtheta whatever alpha is (arXiv 1509.02971, eq. 6)."""
    policy, z = actor(), torch.randn(5, 4)
    actions = policy(z)
    goal = torch.tensor([0.3, -0.2])
    q = -(actions.value - goal).square().sum(-1)
    (gradient,) = torch.autograd.grad(policy_loss(q, actions, torch.tensor([7.0])), [policy.out.bias])
    a = policy.mode(z)
    expected = (2 * (a - goal) * (1 - a**2)).mean(0)  # d tanh(x) / dx = 1 - tanh(x)^2
    torch.testing.assert_close(gradient.flatten(), expected)


def test_exploration_is_gaussian_and_cut() -> None:
    policy, z = actor(0.2), torch.randn(1, 4)
    drawn, centre = policy.sample(z.expand(50_000, 4)), policy.mode(z)
    torch.testing.assert_close(drawn.mean(0), centre[0], atol=0.005, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((2,), 0.2), atol=0.005, rtol=0)
    wild = actor(50.0).sample(z.expand(1000, 4))
    assert wild.abs().max() == 1
    assert torch.equal(actor(0.0).sample(z), policy.mode(z))


def test_it_asks_for_a_fixed_temperature() -> None:
    assert Deterministic().needs == {"fixed temperature"}
    assert not Deterministic().offers


def test_negative_noise_is_refused() -> None:
    with pytest.raises(UserError, match="noise is -1"):
        Deterministic(noise=-1.0)
