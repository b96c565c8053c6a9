"""The clipped regression against its formula, branch by branch."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from softrl.agent.regress import Clipped, Plain
from softrl.errors import UserError
from softrl.nn.critics import ActionOut
from softrl.nn.heads import Categorical, Prediction, Quantile, Scalar
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Batch, Spec

B = 4
SPEC = Spec({"state": (3,)}, 0, (2,))


def agent_of(head, shift: Tensor | float) -> SimpleNamespace:
    """A critic, and a target whose rows are `shift` above those of the critic."""
    critic = ActionOut(MLP((8,)), head).build(3, SPEC)

    def target(z: Tensor, action: Tensor) -> Prediction:
        q = critic(z, action)
        return q._replace(output=q.output + shift)

    return SimpleNamespace(critic=critic, lookahead=SimpleNamespace(target=target))


def batch() -> Batch:
    z = torch.randn(B, 3)
    return Batch(z, z, z, z, torch.eye(2)[torch.randint(2, (B,))], torch.zeros(B), torch.ones(B), torch.ones(B))


def single(value: Tensor) -> Atoms:
    return Atoms(value[:, None], torch.ones(len(value), 1))


def test_plain_is_the_head_s_loss() -> None:
    agent, b, y = agent_of(Quantile(3), 0.0), batch(), single(torch.randn(B))
    q = agent.critic(b.z, b.action[None])
    assert torch.equal(Plain().build()(agent, b, q, y), agent.critic.loss(q, y))


def test_the_larger_of_two_squares() -> None:
    """Q' = Q + 2, so Q clipped to within 0.5 of it is Q + 1.5; targets lie 1 below and 1 above Q."""
    agent, b = agent_of(Scalar(), 2.0), batch()
    q = agent.critic(b.z, b.action[None])
    base = q.output[0, 0, :, 0].detach()
    agent.critic.loss = lambda p, y: Scalar().loss(p.output[:1, 0], y)  # the first member, whose targets these are
    below = Clipped(0.5).build()(agent, b, q, single(base - 1))
    above = Clipped(0.5).build()(agent, b, q, single(base + 1))
    torch.testing.assert_close(below, torch.full((1, B), 0.5 * 2.5**2), atol=1e-5, rtol=0)
    torch.testing.assert_close(above, torch.full((1, B), 0.5), atol=1e-5, rtol=0)


def test_a_value_that_ran_away_from_its_target_gets_no_gradient_further_away() -> None:
    """Q is 2 below Q' and y is below both: to sink lowers the plain loss, and the clipped one does not feel it."""
    agent, b = agent_of(Scalar(), 2.0), batch()
    q = agent.critic(b.z, b.action[None])
    y = single(q.output.amin(0)[0, :, 0].detach() - 1)
    weights = list(agent.critic.parameters())
    for gradient in torch.autograd.grad(Clipped(0.5).build()(agent, b, q, y).sum(), weights):
        assert not gradient.any()


@pytest.mark.parametrize("head", [Scalar(), Scalar("huber"), Quantile(3)])
def test_near_its_target_copy_nothing_is_clipped(head) -> None:
    agent, b, y = agent_of(head, 0.4), batch(), single(torch.randn(B))
    q = agent.critic(b.z, b.action[None])
    torch.testing.assert_close(Clipped(0.5).build()(agent, b, q, y), agent.critic.loss(q, y), atol=1e-6, rtol=1e-5)


def test_probabilities_are_not_clipped() -> None:
    Clipped().check(Quantile(3))
    Plain().check(Categorical())
    with pytest.raises(UserError, match="Categorical head learns probabilities"):
        Clipped().check(Categorical())


def test_a_distance_is_positive() -> None:
    with pytest.raises(UserError, match="distance"):
        dataclasses.replace(Clipped(), distance=0.0)
