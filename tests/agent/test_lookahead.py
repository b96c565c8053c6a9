"""Lookaheads: what they judge with, and how it follows."""

import pytest
import torch
from torch import nn

from softrl.agent.lookahead import Joint, JointTarget, Split, StateTarget
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.trunks.mlp import MLP
from softrl.types import Batch, Spec

SPEC = Spec({"state": (3,)}, 2)
SMALL = MLP((4,))
members = pytest.mark.parametrize("members", [1, 3])


def batch() -> Batch:
    z, ahead = torch.randn(5, 3), torch.randn(5, 3)
    return Batch(z, z, ahead, ahead + 1, torch.randn(5, 2), torch.randn(5), torch.ones(5), torch.ones(5))


def plain(critic: nn.Module, z: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
    """A network with one hidden layer of ReLUs, [B,D], [B,A] -> [B]."""
    layer, out = critic.trunk.layers[0], critic.out
    h = (torch.cat([z, action], 1) @ layer.weight[member] + layer.bias[member]).relu()
    return (h @ out.weight[member] + out.bias[member])[:, 0]


@members
def test_split_judges_the_taken_action_by_the_critic_and_the_next_by_the_target(members: int) -> None:
    critic = ActionIn(SMALL, members=members).build(3, SPEC)
    lookahead = Split(tau=0.25).build(critic, 3, SPEC)
    critic.out.bias.data += 1  # from here on critic and target differ
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = lookahead(critic, b, next_action)
    for member in range(members):
        expected = plain(critic, b.z, b.action, member)
        torch.testing.assert_close(q.output[member, 0, :, 0], expected)
        late = plain(critic, b.target_z, next_action[0], member) - 1
        torch.testing.assert_close(q_next.output[member, 0, :, 0], late)
    lookahead.follow(critic)
    torch.testing.assert_close(lookahead.target.out.bias, critic.out.bias - 0.75)
    assert q.output.requires_grad
    assert not q_next.output.requires_grad
    assert not any(p.requires_grad for p in lookahead.parameters())


def test_state_target_learns_v_and_looks_ahead_with_its_copy() -> None:
    lookahead = StateTarget(StateValue(SMALL)).build(nn.Identity(), 3, SPEC)
    lookahead.value.out.bias.data += 1
    b = batch()
    v, ahead = lookahead(b)
    assert v.output.requires_grad
    assert ahead.value.shape == (5, 1)
    assert torch.equal(ahead.mean(), lookahead.target(b.target_z).atoms.mean()[0, 0])
    assert not ahead.value.requires_grad


NORMED = MLP((4,), norm="batch", norm_place="after", norm_inputs=True)


def textbook(critic: nn.Module, x: torch.Tensor, member: int) -> torch.Tensor:
    """Two batch norms around a linear layer and a ReLU, with the statistics of the batch, [R,D] -> [R]."""

    def norm(h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(0)) / (h.var(0, correction=0) + 1e-3).sqrt()

    layer, out = critic.trunk.layers[0], critic.out
    h = norm((norm(x) @ layer.weight[member] + layer.bias[member]).relu())
    return (h @ out.weight[member] + out.bias[member])[:, 0]


@members
def test_a_joint_pass_shares_its_statistics_and_their_gradient(members: int) -> None:
    critic = ActionIn(NORMED, members=members).build(3, SPEC)
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = Joint().build(critic, 3, SPEC)(critic, b, next_action)
    x = torch.cat([torch.cat([b.z, b.action], 1), torch.cat([b.target_z, next_action[0]], 1)])
    for member in range(members):
        expected = textbook(critic, x, member)
        torch.testing.assert_close(q.output[member, 0, :, 0], expected[:5])
        torch.testing.assert_close(q_next.output[member, 0, :, 0], expected[5:].detach())
    assert q.output.requires_grad
    assert not q_next.output.requires_grad
    weight = critic.trunk.layers[0].weight
    found = torch.autograd.grad(q.output.square().sum(), weight)[0]
    wanted = torch.autograd.grad(sum(textbook(critic, x, e)[:5].square().sum() for e in range(members)), weight)[0]
    torch.testing.assert_close(found, wanted)


def test_a_joint_pass_takes_several_next_actions() -> None:
    critic = ActionIn(NORMED).build(3, SPEC)
    b, next_action = batch(), torch.randn(2, 5, 2)
    q, q_next = Joint().build(critic, 3, SPEC)(critic, b, next_action)
    pairs = [pair for action in next_action for pair in ((b.z, b.action), (b.target_z, action))]
    expected = textbook(critic, torch.cat([torch.cat(pair, 1) for pair in pairs]), 1).view(2, 2, 5)
    torch.testing.assert_close(q.output[1, 0, :, 0], expected[0, 0])
    torch.testing.assert_close(q_next.output[1, :, :, 0], expected[:, 1].detach())


def test_only_the_joint_pass_moves_the_running_statistics() -> None:
    critic = ActionIn(NORMED).build(3, SPEC)
    norm = critic.trunk.norm_inputs
    b, next_action = batch(), torch.randn(1, 5, 2)
    critic(b.z, b.action[None])
    assert norm.count == 0
    Joint().build(critic, 3, SPEC)(critic, b, next_action)
    assert norm.count == 1


@members
def test_a_joint_target_judges_what_is_next_in_a_pass_of_its_own(members: int) -> None:
    critic = ActionIn(NORMED, members=members).build(3, SPEC)
    lookahead = JointTarget(tau=0.5).build(critic, 3, SPEC)
    critic.out.bias.data += 1
    b, next_action = batch(), torch.randn(1, 5, 2)
    q, q_next = lookahead(critic, b, next_action)
    x = torch.cat([torch.cat([b.z, b.action], 1), torch.cat([b.target_z, next_action[0]], 1)])
    for member in range(members):
        torch.testing.assert_close(q.output[member, 0, :, 0], textbook(critic, x, member)[:5])
        torch.testing.assert_close(q_next.output[member, 0, :, 0], textbook(lookahead.target, x, member)[5:])
    lookahead.follow(critic)
    torch.testing.assert_close(lookahead.target.out.bias, critic.out.bias - 0.5)
