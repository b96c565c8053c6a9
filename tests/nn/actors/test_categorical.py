"""The enumerated policy against torch.distributions and brute force over the joint."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical as Reference

from softrl.errors import UserError
from softrl.math.losses import policy_loss
from softrl.math.returns import soft_value
from softrl.nn.actors.categorical import Categorical
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec

B, D = 5, 4
SMALL = MLP((8, 8))


def spec(*choices: int, continuous: int = 0) -> Spec:
    return Spec({"state": (D,)}, continuous, choices)


def logits(actor, z: Tensor, choices: tuple[int, ...]) -> list[Tensor]:
    return list(actor.out(actor.trunk(z))[0].split(choices, -1))


@pytest.mark.parametrize("choices", [(4,), (3, 2), (2, 3, 2)])
def test_every_joint_action_with_the_product_of_its_probabilities(choices: tuple[int, ...]) -> None:
    actor, z = Categorical(SMALL).build(D, spec(*choices)), torch.randn(B, D)
    actions = actor(z)
    assert actions.value.shape == (math.prod(choices), B, sum(choices))
    assert actions.log_prob.shape == (math.prod(choices), B, 1)
    policies = [Reference(logits=block) for block in logits(actor, z, choices)]
    for k, options in enumerate(itertools.product(*map(range, choices))):
        log_prob = sum(pi.log_prob(torch.full((B,), a)) for pi, a in zip(policies, options, strict=True))
        torch.testing.assert_close(actions.log_prob[k, :, 0], log_prob)
        torch.testing.assert_close(actions.prob[k], log_prob.exp())
        hot = torch.cat([torch.eye(n)[a] for n, a in zip(choices, options, strict=True)])
        assert torch.equal(actions.value[k], hot.expand(B, -1))
    torch.testing.assert_close(actions.prob.sum(0), torch.ones(B))


@pytest.mark.parametrize("choices", [(4,), (3, 2)])
def test_soft_value_and_policy_gradient_equal_loops_over_the_joint(choices: tuple[int, ...]) -> None:
    actor, z = Categorical(SMALL).build(D, spec(*choices)), torch.randn(B, D)
    q, alpha = torch.randn(math.prod(choices), B), torch.tensor([0.3])
    policies = [Reference(logits=block) for block in logits(actor, z, choices)]
    value = torch.zeros(B)
    for k, options in enumerate(itertools.product(*map(range, choices))):
        log_prob = sum(pi.log_prob(torch.full((B,), a)) for pi, a in zip(policies, options, strict=True))
        value = value + log_prob.exp() * (q[k] - 0.3 * log_prob)
    actions = actor(z)
    torch.testing.assert_close(soft_value(Atoms(q[..., None], torch.ones(1)), actions, alpha).mean(), value)
    weights = list(actor.parameters())
    expected = torch.autograd.grad(-value.mean(), weights)
    for found, wanted in zip(torch.autograd.grad(policy_loss(q, actions, alpha), weights), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_samples_follow_the_probabilities_and_the_mode_is_the_likeliest_joint_action() -> None:
    actor, z = Categorical(SMALL).build(D, spec(3, 2)), torch.randn(1, D)
    actions = actor(z)
    draws = actor.sample(z.expand(40_000, -1))
    for value, prob in zip(actions.value[:, 0], actions.prob[:, 0], strict=True):
        frequency = (draws == value).all(-1).float().mean()
        assert abs(frequency - prob) < 5 * (0.25 / 40_000) ** 0.5
    assert torch.equal(actor.mode(z)[0], actions.value[actions.prob[:, 0].argmax(), 0])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (spec(), "has none"),
        (spec(1), "at least two"),
        (spec(32, 33), "Factored"),
        (spec(3, continuous=2), "use Hybrid"),
    ],
)
def test_other_spaces_are_refused(wrong: Spec, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Categorical().build(D, wrong)
